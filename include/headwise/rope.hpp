#pragma once

#include <cstdint>
#include <vector>

#include "headwise/tensor.hpp"

namespace headwise {

/// Which two elements of a row turn together: neighbours, (0, 1), (2, 3), ..., or one of each half, (0, dims/2), (1, dims/2 + 1),
/// ...
enum class RopePairs { interleaved, half_split };

/// Rotary position embedding (Su et al. 2021, RoFormer): pair i of a row at position p turns by the angle p * base^(-2 i / dims).
struct RopeOptions {
    std::int64_t dims = 0;  ///< the first elements of a row, which turn: even, 2 to the head dimension; the others stay
    double base = 10000;    ///< above 0
    RopePairs pairs = RopePairs::half_split;
};

/// The cosines and sines of every angle, made once (in f64, rounded to f32) for as many positions as will be asked for. Immutable:
/// any number of plans and threads may share it. Takes 4 * dims * positions bytes.
class RopeTable {
  public:
    /// For the positions -(positions - 1) to positions - 1. Throws Error.
    RopeTable(const RopeOptions& options, std::int64_t positions);

    const RopeOptions& options() const noexcept { return options_; }
    std::int64_t positions() const noexcept { return positions_; }

    /// [dims / 2] cosines, then as many sines, of position `position` >= 0. The angles of -position are the negative ones.
    const float* row(std::int64_t position) const noexcept {
        return angles_.data() + static_cast<std::size_t>(position * options_.dims);
    }

  private:
    RopeOptions options_;
    std::int64_t positions_;
    std::vector<float> angles_;
};

/// out[b,h,i,:] = x[b,h,i,:] turned for its position. x and out [batch, heads, length, dim] with any strides, the last one 1; dim
/// is at least the table's dims; out may be x itself (same data and strides), else they must not overlap. `positions` [batch or 1,
/// length] gives each token's position; without (data null) token i sits at first_position + i. Throws Error before anything is
/// written; a position beyond the table is one. Thread-safe.
void apply_rope(const TensorView<const float, 4>& x, const TensorView<float, 4>& out, const RopeTable& table,
                const TensorView<const std::int32_t, 2>& positions = {}, std::int64_t first_position = 0);

}  // namespace headwise
