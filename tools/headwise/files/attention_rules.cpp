#include "files/attention_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "files/tensor_names.hpp"

namespace headwise::tools {
namespace {

/// A tensor of one number for each query head.
OptionalTensor<float> read_heads(const AttentionFile& file, std::string_view name) {
    return file.read_optional<float>(name, {"F32"}, {"heads"});
}

OptionalTensor<std::int32_t> read_lengths(const AttentionFile& file, std::string_view name) {
    return file.read_optional<std::int32_t>(name, {"I32"}, {"batch"});
}

OptionalTensor<std::int32_t> read_tokens(const AttentionFile& file, std::string_view name) {
    return file.read_optional<std::int32_t>(name, {"I32"}, {"batch or 1", "length"});
}

OptionalTensor<std::int64_t> read_sums(const AttentionFile& file, std::string_view name) {
    return file.read_optional<std::int64_t>(name, {"I32", "I64"}, {"batch + 1"});
}

template <class T>
OptionalTensor<T> read_pairs(const AttentionFile& file, std::string_view name, std::initializer_list<std::string_view> dtypes) {
    return file.read_optional<T>(name, dtypes, {"batch or 1", "heads or 1", "queries or 1", "keys"});
}

/// How q, k and v are to be understood depends on these.
void check_storage(const AttentionFile& file, const AttentionRules& rules) {
    file.expect(!rules.packed_keys() || rules.packed_queries(), "tensor 'cu_seqlens_k' is there without 'cu_seqlens_q'");
    file.expect(!rules.packed_queries() || rules.packed_keys() || rules.paged(),
                "tensor 'cu_seqlens_q' is there without 'cu_seqlens_k' or, for paged keys, 'page_table'");
    file.expect(!rules.paged() || !rules.packed_keys(), "tensors 'page_table' and 'cu_seqlens_k' are both there: expected one");
    file.expect(!rules.paged() || rules.key_lengths.given(), "tensor 'page_table' is there without 'kv_lengths'");
    file.expect(!rules.packed_queries() || !rules.query_lengths.given(),
                "tensors 'cu_seqlens_q' and 'q_lengths' are both there: expected one");
    file.expect(!rules.packed_keys() || !rules.key_lengths.given(),
                "tensors 'cu_seqlens_k' and 'kv_lengths' are both there: expected one");
}

/// The longest of sequences that lie one behind the other in a tensor of `total` tokens.
std::int64_t checked_sums(const AttentionFile& file, std::string_view name, const OptionalTensor<std::int64_t>& sums,
                          std::string_view tensor, std::int64_t total) {
    const std::span<const std::int64_t> values = sums.values();
    const std::string expected =
        fmt::format("tensor '{}': expected sums of lengths, from 0 up to {}, the length of '{}'", name, total, tensor);
    file.expect(!values.empty() && values.front() == 0 && values.back() == total && std::ranges::is_sorted(values), expected);
    std::int64_t longest = 0;
    for (std::size_t b = 1; b < values.size(); ++b) longest = std::max(longest, values[b] - values[b - 1]);
    return longest;
}

/// The longest of the lengths, each of which is at most `most`.
std::int64_t checked_lengths(const AttentionFile& file, std::string_view name, const OptionalTensor<std::int32_t>& lengths,
                             std::int64_t most, std::string_view meaning) {
    std::int32_t longest = 0;
    for (const std::int32_t length : lengths.values()) {
        file.expect(length >= 0 && length <= most,
                    fmt::format("tensor '{}' has the number {}: expected 0 to {}, {}", name, length, most, meaning));
        longest = std::max(longest, length);
    }
    return longest;
}

/// The library takes an array without elements for one that is not given.
void check_sizes(const AttentionFile& file, const AttentionRules& rules, std::int64_t sequences, std::int64_t heads) {
    const auto check = [&](std::string_view name, const auto& tensor, std::int64_t expected, std::string_view meaning) {
        if (!tensor.given()) return;
        file.expect(tensor.shape[0] == expected, fmt::format("tensor '{}' has the shape [{}]: expected [{}], one for each {}", name,
                                                             tensor.shape[0], expected, meaning));
    };
    check("alibi_slopes", rules.alibi_slopes, heads, "head of 'q'");
    check("scales", rules.scales, heads, "head of 'q'");
    check("sinks", rules.sinks, heads, "head of 'q'");
    check("q_lengths", rules.query_lengths, sequences, "sequence");
    check("kv_lengths", rules.key_lengths, sequences, "sequence");
    check("prefix_lengths", rules.prefix_lengths, sequences, "sequence");
}

/// Keys that a row of the page table has room for.
std::int64_t page_table_keys(const AttentionRules& rules, const Extents& key) {
    std::int64_t keys = 0;
    const bool huge = __builtin_mul_overflow(rules.page_table.shape[1], key[2], &keys);
    return key[0] == 0 ? 0 : huge ? std::numeric_limits<std::int64_t>::max() : keys;
}

}  // namespace

AttentionRules read_attention_rules(const AttentionFile& file) {
    AttentionRules rules;
    rules.mask = read_pairs<std::uint8_t>(file, "mask", {"BOOL", "U8"});
    rules.bias = read_pairs<float>(file, "bias", {"F32"});
    rules.alibi_slopes = read_heads(file, "alibi_slopes");
    rules.scales = read_heads(file, "scales");
    rules.sinks = read_heads(file, "sinks");
    rules.query_lengths = read_lengths(file, "q_lengths");
    rules.key_lengths = read_lengths(file, "kv_lengths");
    rules.prefix_lengths = read_lengths(file, "prefix_lengths");
    rules.cumulative_query_lengths = read_sums(file, "cu_seqlens_q");
    rules.cumulative_key_lengths = read_sums(file, "cu_seqlens_k");
    rules.page_table = file.read_optional<std::int32_t>("page_table", {"I32"}, {"batch", "pages of a sequence"});
    rules.tree_parents = read_tokens(file, "tree_parents");
    rules.query_positions = read_tokens(file, "q_positions");
    rules.key_positions = read_tokens(file, "k_positions");
    check_storage(file, rules);
    return rules;
}

double attention_rule_bytes(const AttentionFile& file) {
    double bytes = 0;
    for (const RuleTensor& tensor : kRuleTensors) bytes += file.bytes(tensor.name);
    // Sums in I32 stay in memory while they become I64.
    return bytes + 2 * (file.bytes("cu_seqlens_q") + file.bytes("cu_seqlens_k"));
}

AttentionArguments AttentionRules::arguments() const {
    AttentionArguments result;
    result.query_lengths = query_lengths.values();
    result.key_lengths = key_lengths.values();
    result.cumulative_query_lengths = cumulative_query_lengths.values();
    result.cumulative_key_lengths = cumulative_key_lengths.values();
    result.page_table = page_table.view<2>();
    result.scales = scales.values();
    result.alibi_slopes = alibi_slopes.values();
    result.bias = bias.view<4>();
    result.sinks = sinks.values();
    result.query_positions = query_positions.view<2>();
    result.key_positions = key_positions.view<2>();
    result.mask = mask.view<4>();
    result.prefix_lengths = prefix_lengths.values();
    result.tree_parents = tree_parents.view<2>();
    return result;
}

SequenceSizes checked_sequences(const AttentionFile& file, const AttentionRules& rules, const Extents& query, const Extents& key) {
    SequenceSizes sizes{.count = query[0], .most_queries = query[2], .most_keys = key[2]};
    if (rules.packed_queries()) {
        file.expect(query[0] == 1, fmt::format("q is ({}): with 'cu_seqlens_q' the batch must be 1", extents_text(query)));
        sizes.most_queries = checked_sums(file, "cu_seqlens_q", rules.cumulative_query_lengths, "q", query[2]);
        sizes.count = rules.cumulative_query_lengths.shape[0] - 1;
    }
    if (rules.packed_keys()) {
        file.expect(key[0] == 1, fmt::format("k is ({}): with 'cu_seqlens_k' the batch must be 1", extents_text(key)));
        sizes.most_keys = checked_sums(file, "cu_seqlens_k", rules.cumulative_key_lengths, "k", key[2]);
    }
    check_sizes(file, rules, sizes.count, query[1]);
    checked_lengths(file, "q_lengths", rules.query_lengths, query[2], "the length of 'q'");
    const std::int64_t longest = rules.paged()
                                     ? checked_lengths(file, "kv_lengths", rules.key_lengths, page_table_keys(rules, key),
                                                       "what fits into the pages of a row of 'page_table'")
                                     : checked_lengths(file, "kv_lengths", rules.key_lengths, key[2], "the length of 'k'");
    if (rules.paged()) sizes.most_keys = longest;
    return sizes;
}

void refuse_attention_rules(const AttentionFile& file) {
    for (const RuleTensor& tensor : kRuleTensors) {
        file.expect(!file.contains(tensor.name), fmt::format("tensor '{}' asks for more than plain attention: only headwise run {}",
                                                             tensor.name, tensor.for_rope ? "does that" : "and profile do that"));
    }
}

UsageError error_of_file(const AttentionFile& file, const Error& error) {
    const std::string_view message = error.what();
    for (const RuleTensor& tensor : kRuleTensors) {
        // The next character tells an argument from another one that begins like it.
        const std::size_t end = tensor.argument.size();
        if (tensor.name != tensor.argument && message.starts_with(tensor.argument) && message.size() > end &&
            (message[end] == '[' || message[end] == '.' || message[end] == ' ')) {
            return file.bad(fmt::format("tensor '{}': {}", tensor.name, message));
        }
    }
    return file.bad(message);
}

std::string attention_rules_help(Rope rope) {
    std::string text = "Tensors that the input may have in addition to q, k and v:\n";
    for (const RuleTensor& tensor : kRuleTensors)
        if (rope == Rope::supported || !tensor.for_rope) text += fmt::format("  {:<16}{}\n", tensor.name, tensor.help);
    return text;
}

}  // namespace headwise::tools
