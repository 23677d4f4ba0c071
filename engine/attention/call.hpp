#pragma once

#include "engine/kernels/kernel_table.hpp"
#include "headwise/attention.hpp"
#include "headwise/cpu.hpp"

namespace headwise {

/// The ISA that a call runs on.
inline Isa isa_of(const AttentionOptions& options) {
    return options.isa ? *options.isa : active_isa();
}

/// One checked call, its views without unused strides.
struct AttentionCall {
    AttentionCall(const AttentionShape& planned, const AttentionOptions& given, const AttentionArguments& checked,
                  const KernelTable& table);

    const AttentionShape& shape;  ///< of the plan
    const AttentionOptions& options;
    const AttentionArguments& arguments;
    const KernelTable& kernels;

    // What follows from them for all blocks: for short ones these would be a tenth of the time.
    const std::int64_t group;        ///< query heads of one key/value head
    const double logit_unit;         ///< queries are multiplied by scale * this, see query_scale()
    const float common_query_scale;  ///< for the scale that heads without one of their own have

    /// What the queries of a head are multiplied with, so that the logits come in units of log2, and the weights are plain powers
    /// of two; or in those that softcap or the caller's function want.
    float query_scale(float scale) const { return static_cast<float>(static_cast<double>(scale) * logit_unit); }
};

/// Throws Error where a call cannot be carried out as the options ask: ISA, threads, schedule.
void check_execution(const AttentionOptions& options);

/// The views without strides that nothing steps by, so that what has one element along an axis is repeated along it.
AttentionArguments with_usable_strides(AttentionArguments arguments);

}  // namespace headwise
