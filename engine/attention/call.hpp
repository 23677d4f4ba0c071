#pragma once

#include "engine/kernels/kernel_table.hpp"
#include "headwise/attention.hpp"

namespace headwise {

/// One checked call, its views without unused strides.
struct AttentionCall {
    const AttentionShape& shape;  ///< of the plan
    const AttentionOptions& options;
    const AttentionArguments& arguments;
    const KernelTable& kernels;
};

/// The sizes of a call without a plan.
AttentionShape shape_of(const AttentionArguments& arguments);

/// The views without strides that nothing steps by, so that what has one element along an axis is repeated along it.
AttentionArguments with_usable_strides(AttentionArguments arguments);

}  // namespace headwise
