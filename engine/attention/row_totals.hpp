#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "engine/kernels/attention_kernels.hpp"

namespace headwise {

/// Adds up a block's row_max and row_sum over any number of keys, in f64: one chain of f32 additions would lose four digits of a
/// million small weights. A row's total is sum * 2^max.
class RowTotals {
  public:
    explicit RowTotals(std::int64_t rows) : rows_(rows) {
        max_.fill(kNoKeyYet);
        sum_.fill(0);
    }

    /// Adds the state of other keys of the same rows.
    void add(const AttentionBlock& part) {
        for (std::int64_t i = 0; i < rows_; ++i) {
            if (part.row_sum[i] == 0) continue;  // no key seen; a row's maximum may be -Inf only so
            const auto row = static_cast<std::size_t>(i);
            const double old_max = max_[row], part_max = part.row_max[i], max = std::max(old_max, part_max);
            sum_[row] = sum_[row] * std::exp2(old_max - max) + static_cast<double>(part.row_sum[i]) * std::exp2(part_max - max);
            max_[row] = static_cast<float>(max);
        }
    }

    float max(std::int64_t row) const { return max_[static_cast<std::size_t>(row)]; }
    float sum(std::int64_t row) const { return static_cast<float>(sum_[static_cast<std::size_t>(row)]); }

  private:
    std::int64_t rows_;
    std::array<float, kMostBlockRows> max_;
    std::array<double, kMostBlockRows> sum_;
};

}  // namespace headwise
