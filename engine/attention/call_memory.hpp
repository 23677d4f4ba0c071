#pragma once

#include <cstddef>
#include <cstdint>

#include "headwise/attention.hpp"

/// Memory that calls allocate in addition to the caller's tensors, for programs that check first whether a call fits.
namespace headwise {

/// Bytes that a RopeTable with these sizes keeps.
std::size_t rope_table_bytes(std::int64_t dims, std::int64_t positions);

/// Bytes that attention_weights() takes from the pool on at most `workers` workers, with the `top_keys` largest weights of each row
/// and means of `mean_keys` keys (0: not requested). The shape has been checked.
std::size_t weights_scratch_bytes(const AttentionShape& shape, const AttentionOptions& options, int workers, std::int64_t top_keys,
                                  std::int64_t mean_keys);

}  // namespace headwise
