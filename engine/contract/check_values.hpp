#pragma once

#include "engine/contract/check_arguments.hpp"
#include "headwise/attention.hpp"

namespace headwise {

/// Throws Error if the contents of arrays are wrong: scales, pages, a common prefix, parents of a tree, positions for RoPE.
/// Everything else has been checked before.
void check_values(const AttentionShape& shape, const AttentionOptions& options, const CallTensors& tensors,
                  const AttentionArguments& arguments);

}  // namespace headwise
