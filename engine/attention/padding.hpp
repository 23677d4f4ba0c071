#pragma once

#include "headwise/attention.hpp"

namespace headwise {

/// Writes 0 to `out` and -Inf to log_sum_exp for rows of padded tensors beyond each sequence's queries, on up to
/// options.max_threads threads.
void clear_padding(const AttentionArguments& arguments, const AttentionOptions& options);

}  // namespace headwise
