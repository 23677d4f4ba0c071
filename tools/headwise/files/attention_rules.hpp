#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "files/attention_file.hpp"
#include "headwise/attention_arguments.hpp"
#include "headwise/error.hpp"

namespace headwise::tools {

/// The tensors that a file may have beside q, k and v: which tokens there are, what becomes of the logits, which keys are seen.
struct AttentionRules {
    OptionalTensor<std::int32_t> query_lengths, key_lengths, prefix_lengths, page_table, tree_parents, query_positions,
        key_positions;
    OptionalTensor<std::int64_t> cumulative_query_lengths, cumulative_key_lengths;
    OptionalTensor<float> scales, alibi_slopes, sinks, bias;
    OptionalTensor<std::uint8_t> mask;

    /// Whether the queries, and the keys, of all sequences lie one behind the other in a tensor of batch 1.
    bool packed_queries() const { return cumulative_query_lengths.given(); }
    bool packed_keys() const { return cumulative_key_lengths.given(); }
    /// Whether k and v are pools of pages.
    bool paged() const { return page_table.given(); }

    /// Views of all this, for a call: all but query, key, value, out and log_sum_exp.
    AttentionArguments arguments() const;
};

/// Of the sequences in a file.
struct SequenceSizes {
    std::int64_t count = 0;
    std::int64_t most_queries = 0, most_keys = 0;  ///< of the longest
};

/// Reads them. Dtypes and dimensions are checked, and which tensors go together; extents and values are left to the library.
AttentionRules read_attention_rules(const AttentionFile& file);

/// Bytes that these take in memory while they are read, at most. By the file's header alone.
double attention_rule_bytes(const AttentionFile& file);

/// Checks numbers of lengths and the lengths themselves against the extents of q and k: good for allocating by.
SequenceSizes checked_sequences(const AttentionFile& file, const AttentionRules& rules, const Extents& query, const Extents& key);

/// Throws UsageError where the file has such a tensor: for those who compute plain attention alone.
void refuse_attention_rules(const AttentionFile& file);

/// What the library said of its arguments, said of the file that they came from.
UsageError error_of_file(const AttentionFile& file, const Error& error);

enum class Rope : bool { unsupported, supported };

/// For --help: a line for each tensor that the command takes.
std::string attention_rules_help(Rope rope);

}  // namespace headwise::tools
