#pragma once

#include <span>

#include "engine/attention/block.hpp"
#include "engine/attention/block_numbers.hpp"

namespace headwise {

/// Finishes a block whose state covers all its keys. The one place that knows sinks, the log-sum-exp, and how the results of a
/// common prefix and of a sequence's own keys are combined.
class BlockFinish {
  public:
    BlockFinish(const AttentionCall& call, const AttentionWorkspace& workspace, const BlockNumbers& numbers)
        : call_(call), arguments_(call.arguments), workspace_(workspace), numbers_(numbers) {}

    /// Writes the block's rows to outs(): final results, or for a common prefix the partial ones, to which the rows' own part is
    /// added later.
    void finish(int worker, std::span<const BlockPlace> places, const PreparedBlock& prepared, const AttentionBlock& block) const;

  private:
    struct CommonDenominator {
        float factor, weight;  ///< for the row's accumulators, and for its result of the common prefix
        double log2;
    };

    void keep(int worker, std::span<const BlockPlace> places, const AttentionBlock& block) const;
    void finish_own(int worker, const BlockPlace& place, const PreparedBlock& prepared, const AttentionBlock& block) const;
    void finish_kept(int worker, const BlockPlace& place, const PreparedBlock& prepared, const AttentionBlock& block) const;
    void write_log_sum_exp(const BlockPlace& place, const PreparedBlock& prepared, std::int64_t row, double log2) const;
    CommonDenominator common_denominator(const AttentionBlock& block, const BlockPlace& place, std::int64_t row, std::int64_t head,
                                         const SharedRow& shared) const;

    const AttentionCall& call_;
    const AttentionArguments& arguments_;
    const AttentionWorkspace& workspace_;
    const BlockNumbers& numbers_;
};

}  // namespace headwise
