#pragma once

#include <span>

#include "engine/attention/block.hpp"
#include "engine/attention/block_numbers.hpp"

namespace headwise {

/// What is done when the state of a block over all its keys is there: the one place that knows of sinks, of the log-sum-exp, and of
/// how the results of shared keys and of a sequence's own come together.
class BlockFinish {
  public:
    BlockFinish(const AttentionCall& call, const AttentionWorkspace& workspace, const BlockNumbers& numbers)
        : call_(call), arguments_(call.arguments), workspace_(workspace), numbers_(numbers) {}

    /// Writes the block's rows to outs(): the final results, or, of shared keys, what the rows' own part adds to.
    void finish(int worker, std::span<const BlockPlace> places, const PreparedBlock& prepared, const AttentionBlock& block) const;

  private:
    struct CommonDenominator {
        float factor, weight;  ///< what the row's accumulators are multiplied with, and what its shared keys have come to
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
