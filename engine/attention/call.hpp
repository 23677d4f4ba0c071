#pragma once

#include "engine/kernels/kernel_table.hpp"
#include "headwise/attention.hpp"
#include "headwise/cpu.hpp"

namespace headwise {

/// The ISA that a call runs on.
inline Isa isa_of(const AttentionOptions& options) {
    return options.isa ? *options.isa : active_isa();
}

/// One checked call, with views that have no unused strides.
struct AttentionCall {
    AttentionCall(const AttentionShape& planned, const AttentionOptions& given, const AttentionArguments& checked,
                  const KernelTable& table);

    const AttentionShape& shape;  ///< of the plan
    const AttentionOptions& options;
    const AttentionArguments& arguments;
    const KernelTable& kernels;

    // Computed once for all blocks: for short ones this would be a tenth of their time.
    const std::int64_t group;        ///< query heads of one key/value head
    const double logit_unit;         ///< see query_scale()
    const float common_query_scale;  ///< for heads without a scale of their own

    /// The factor for the queries of a head. It gives logits in units of log2, so that weights are plain powers of two, or in the
    /// units that softcap or the caller's function needs.
    float query_scale(float scale) const { return static_cast<float>(static_cast<double>(scale) * logit_unit); }
};

/// Throws Error if a call cannot be executed as the options ask: ISA, threads, schedule.
void check_execution(const AttentionOptions& options);

/// The arguments with views whose unused strides are 0, so that a single element along an axis is repeated.
AttentionArguments with_usable_strides(AttentionArguments arguments);

}  // namespace headwise
