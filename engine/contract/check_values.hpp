#pragma once

#include "engine/contract/check_arguments.hpp"
#include "headwise/attention.hpp"

namespace headwise {

/// Throws Error where what arrays hold is wrong: scales, pages, what sequences share, parents of a tree, positions for RoPE.
/// Everything else has been checked.
void check_values(const AttentionShape& shape, const AttentionOptions& options, const CallTensors& tensors,
                  const AttentionArguments& arguments);

}  // namespace headwise
