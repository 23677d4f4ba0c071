#include "arguments/attention_weights.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <string_view>
#include <utility>

#include "text/usage_error.hpp"

namespace headwise::tools {
namespace {

constexpr std::int64_t kMostTopKeys = 1024;

/// Ascending numbers with commas between them. Throws UsageError naming the option.
std::vector<std::int32_t> parse_choice(std::string_view option, std::string_view text) {
    const auto bad = [&] {
        return UsageError(fmt::format("{} is '{}': expected ascending whole numbers from 0, commas between them", option, text));
    };
    std::vector<std::int32_t> numbers;
    for (const char* next = text.begin();; ++next) {
        std::int32_t number = 0;
        const auto [end, error] = std::from_chars(next, text.end(), number);
        if (error != std::errc{} || number < 0 || (!numbers.empty() && number <= numbers.back())) throw bad();
        numbers.push_back(number);
        if (end == text.end()) return numbers;
        if (*end != ',') throw bad();
        next = end;
    }
}

std::vector<std::int32_t> chosen(std::string_view option, const std::optional<std::string>& text, const AttentionFile& file,
                                 std::int64_t count) {
    if (!text) return {};
    std::vector<std::int32_t> numbers = parse_choice(option, *text);
    file.expect(numbers.back() < count, fmt::format("{} has {}: expected numbers below {}", option, numbers.back(), count));
    return numbers;
}

}  // namespace

void AttentionWeightsArguments::add_to(CLI::App& command) {
    command.add_flag("--weights", weights, "also write weights [B,Hq,Sq,Skv], F32: what each query multiplies the values with");
    command
        .add_option("--top-k", top_k,
                    fmt::format("also write each query's K largest weights, in falling order, top_weights [B,Hq,Sq,K], F32, and "
                                "their keys, top_keys, I32; -1 and weight 0 where fewer are above 0; K from 1 to {}",
                                kMostTopKeys))
        ->type_name("K");
    command.add_flag("--key-means", key_means,
                     "also write key_means [B,Hq,Skv], F32: the mean of each key's weights over the queries");
    command.add_option("--heads", heads_text, "of --weights, --top-k and --key-means: only of these query heads, ascending")
        ->type_name("N,N,...");
    command.add_option("--queries", queries_text, "likewise only of these queries of each sequence")->type_name("N,N,...");
}

void AttentionWeightsArguments::check(bool reference) const {
    if (top_k && (*top_k < 1 || *top_k > kMostTopKeys)) {
        throw UsageError(fmt::format("--top-k is {}: expected 1 to {}", *top_k, kMostTopKeys));
    }
    for (const auto& [option, text] : {std::pair("--heads", &heads_text), std::pair("--queries", &queries_text)}) {
        if (!*text) continue;
        if (!given()) throw UsageError(fmt::format("{} chooses for --weights, --top-k or --key-means: none is given", option));
        parse_choice(option, **text);
    }
    for (const auto& [option, is_given] : {std::pair("--top-k", top_k.has_value()), std::pair("--key-means", key_means)}) {
        if (reference && is_given)
            throw UsageError(fmt::format("{} cannot be combined with --reference: only --weights can", option));
    }
}

std::vector<std::int32_t> AttentionWeightsArguments::heads(const AttentionFile& file, std::int64_t count) const {
    return chosen("--heads", heads_text, file, count);
}

std::vector<std::int32_t> AttentionWeightsArguments::queries(const AttentionFile& file, std::int64_t count) const {
    return chosen("--queries", queries_text, file, count);
}

}  // namespace headwise::tools
