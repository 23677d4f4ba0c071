#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "variants/list.hpp"

namespace headwise::tools {

// ---- For VariantEntry::more, of a plain case of this shape

/// A mask or bias for all heads.
double bytes_of_pairs(const AttentionShape& shape);
/// Other queries, keys and values, of sequences up to twice as long.
double bytes_of_copies(const AttentionShape& shape);
/// Pages of so many keys.
double bytes_of_pool(const AttentionShape& shape, std::int64_t keys);
/// A bias for either call, or other queries, keys and values.
double bytes_of_values(const AttentionShape& shape);
/// These, and the weights of all heads and queries.
double bytes_of_weights(const AttentionShape& shape);
/// A bias for either call, and k weights and keys of each row.
double bytes_of_top_weights(const AttentionShape& shape, std::int64_t k);
/// Two results to be merged, for either call.
double bytes_of_states(const AttentionShape& shape);

/// Bytes that the entry and its plain case take while they are made, run on so many threads and checked, at most.
double variant_bytes(const VariantEntry& entry, int threads);

/// Throws UsageError, naming suite and entry, where the largest entry takes more than `limit_bytes`.
void check_suite_memory(const std::string& suite, const std::vector<VariantEntry>& entries, int threads, double limit_bytes);

}  // namespace headwise::tools
