#include "files/tensor_names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <numeric>
#include <utility>

#include "text/printable.hpp"

namespace headwise::tools {
namespace {

constexpr std::size_t kMostNamed = 16;
constexpr std::size_t kLongestCompared = 64;  // a longer name is no slip, and the work grows with the length

bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}

/// Whether a word begins at name[i] by its capital: as in "attnMask", "KVLengths".
bool begins_with_capital(std::string_view name, std::size_t i) {
    if (i == 0 || !is_upper(name[i])) return false;
    return !is_upper(name[i - 1]) || (i + 1 < name.size() && is_lower(name[i + 1]));
}

/// Spells out what the word at the end of `words` ends in: "kv_len", "prefixlens", "q_pos".
void spell_out(std::string& words) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kAbbreviations{
        {{"len", "length"}, {"lens", "lengths"}, {"pos", "position"}}};
    for (const auto& [abbreviation, full] : kAbbreviations)
        if (words.ends_with(abbreviation)) words.replace(words.size() - abbreviation.size(), abbreviation.size(), full);
}

enum class Capitals : bool { fold, split };

/// Lower case, words with _ before, between and behind them: "Attn-Mask" is "_attn_mask_". Capitals may begin words or not, as
/// "ALiBi" is one. Abbreviations are spelt out.
std::string words(std::string_view name, Capitals capitals = Capitals::fold) {
    std::string result = "_";
    const auto separate = [&] {
        if (result.back() == '_') return;
        spell_out(result);
        result += '_';
    };
    for (std::size_t i = 0; i < name.size(); ++i) {
        const char c = name[i];
        const bool digit = c >= '0' && c <= '9';
        if (capitals == Capitals::split && begins_with_capital(name, i)) separate();
        if (is_upper(c))
            result += static_cast<char>(c - 'A' + 'a');
        else if (is_lower(c) || digit)
            result += c;
        else
            separate();
    }
    separate();
    return result.size() == 1 ? "__" : result;
}

/// Each word without its plural's ending. An s behind a, i, s or u belongs to the word: "bias", "basis", "mass", "status".
std::string singular(std::string_view words) {
    std::string result;
    for (const char c : words) {
        if (c == '_') {
            const std::string_view word = std::string_view(result).substr(result.rfind('_') + 1);
            if (word.ends_with("ses") || word.ends_with("xes"))
                result.resize(result.size() - 2);
            else if (word.size() > 2 && word.back() == 's' && std::string_view("aisu").find(word[word.size() - 2]) == word.npos)
                result.pop_back();
        }
        result += c;
    }
    return result;
}

/// Letters put in, left out, replaced or exchanged with their neighbours (optimal string alignment).
std::size_t edits(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before, last(b.size() + 1), row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        before = std::exchange(last, row);
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min({row[j - 1] + 1, last[j] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
        }
    }
    return row.back();
}

/// Whether the letters behind the first are in another order: "basi" for "bias".
bool is_shuffled(std::string_view a, std::string_view b) {
    return a[1] == b[1] && std::ranges::is_permutation(a, b);
}

/// Whether `name` is `known` without its last letter: "scal" for "scale".
bool lacks_last_letter(std::string_view name, std::string_view known) {
    return name.size() + 1 == known.size() && known.starts_with(name.substr(0, name.size() - 1));
}

constexpr std::size_t kTooFar = 3;

/// How many slips there are between two names in words: kTooFar where they are too many.
std::size_t slips(const std::string& name, const std::string& known) {
    if (name.size() > kLongestCompared) return kTooFar;
    const std::string stem = singular(name), known_stem = singular(known);
    if (stem == known_stem) return 0;
    const std::size_t letters = std::min(name.size(), known.size()) - 2;  // too few, and all short names are alike
    if (letters < 4) return kTooFar;
    if (letters < 8 && (is_shuffled(stem, known_stem) || lacks_last_letter(stem, known_stem))) return 1;
    const std::size_t count = edits(name, known);
    return count <= (letters < 8 ? 1 : 2) ? count : kTooFar;
}

bool has_words_of(const std::string& name, const std::string& other) {
    return name.find(other) != std::string::npos;
}

/// Whether one of the two has all words of the other, unless that is a short one.
bool share_words(const std::string& a, const std::string& b) {
    return std::min(a.size(), b.size()) >= 6 && (has_words_of(a, b) || has_words_of(b, a));
}

/// What may follow a name without a _ between them. Other words that begin alike are other words: "masked", "biased".
constexpr std::array<std::string_view, 14> kContinuations{"attn",  "attention", "pad", "padding", "causal", "head", "heads",
                                                          "query", "queries",   "key", "keys",    "kv",     "qk",   "tensor"};

/// Whether a word of `name` is `known` run together with others: "attnmask", "paddingmasks", "kvpagetable". Not for "q_lengths" and
/// the like, whose letters end other words: "seqlengths".
bool has_run_together(const std::string& name, const std::string& known) {
    std::string squeezed;
    std::ranges::copy_if(known, std::back_inserter(squeezed), [](char c) { return c != '_'; });
    if (squeezed.size() < 4 || known.find('_', 1) == 2) return false;
    for (std::size_t begin = 1; begin < name.size();) {
        const std::size_t end = name.find('_', begin);
        const std::string_view word = std::string_view(name).substr(begin, end - begin);
        if (word.ends_with(squeezed) || word.ends_with(squeezed + "s") || word.ends_with(squeezed + "es")) return true;
        if (word.starts_with(squeezed) && std::ranges::find(kContinuations, word.substr(squeezed.size())) != kContinuations.end())
            return true;
        begin = end + 1;
    }
    return false;
}

/// Our name of the tensor of another library whose name one of the spellings has by `has`.
std::string_view meant_by_others(std::span<const std::string> spellings, bool (*has)(const std::string&, const std::string&)) {
    for (const ForeignTensor& tensor : kForeignTensors)
        for (const std::string& spelt : spellings)
            if (has(spelt, singular(words(tensor.name)))) return tensor.ours;
    return {};
}

}  // namespace

bool is_known_tensor(std::string_view name) {
    return std::ranges::find(kRuleTensors, name, &RuleTensor::name) != kRuleTensors.end() ||
           std::ranges::find(kPlainTensors, name) != kPlainTensors.end();
}

bool is_expected_tensor(std::string_view name) {
    return name == "expected" || name == "expected_rows";
}

std::string_view meant_tensor(std::string_view name) {
    const std::array asked{words(name), words(name, Capitals::split)};
    std::string_view nearest;
    std::size_t least = kTooFar;
    const auto compare = [&](std::string_view spelling, std::string_view known, std::size_t most = kTooFar) {
        for (const std::string& spelt : asked) {
            const std::size_t count = slips(spelt, words(spelling));
            if (count < std::min(least, most + 1)) least = count, nearest = known;
        }
    };
    for (const std::string_view known : kPlainTensors) compare(known, known);
    for (const RuleTensor& tensor : kRuleTensors) compare(tensor.name, tensor.name), compare(tensor.argument, tensor.name);
    // "position_bias" is two slips from "position_ids", and a bias.
    for (const ForeignTensor& tensor : kForeignTensors) compare(tensor.name, tensor.ours, 1);
    if (!nearest.empty()) return nearest;
    const std::array stems{singular(asked[0]), singular(asked[1])};
    // The library's argument, and so "q", is no length or position for having a word of these names.
    if (asked[0] == "_query_") return {};
    for (const RuleTensor& tensor : kRuleTensors)
        for (const std::string& known : {words(tensor.name), words(tensor.argument)})
            for (const std::string& stem : stems)
                if (share_words(stem, singular(known))) return tensor.name;
    if (const std::string_view ours = meant_by_others(stems, has_words_of); !ours.empty()) return ours;
    for (const RuleTensor& tensor : kRuleTensors)
        for (const std::string& known : {words(tensor.name), words(tensor.argument)})
            for (const std::string& spelt : asked)
                if (has_run_together(spelt, known)) return tensor.name;
    return meant_by_others(asked, has_run_together);
}

std::string unused_tensors_note(const std::string& path, std::span<const std::string> names) {
    if (names.empty()) return {};
    std::vector<std::string> shown;
    for (const std::string& name : names.first(std::min(names.size(), kMostNamed))) shown.push_back(printable_name(name));
    const std::string more = names.size() > kMostNamed ? fmt::format(" and {} more", names.size() - kMostNamed) : "";
    return fmt::format("headwise: '{}': not used: {}{}\n", printable(path), fmt::join(shown, ", "), more);
}

}  // namespace headwise::tools
