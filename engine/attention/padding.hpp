#pragma once

#include "headwise/attention.hpp"

namespace headwise {

/// Writes 0 to `out` and -Inf to log_sum_exp for the rows of padded tensors that no sequence has, on up to options.max_threads.
void clear_padding(const AttentionArguments& arguments, const AttentionOptions& options);

}  // namespace headwise
