#pragma once

#include <cstdint>
#include <memory>

#include "headwise/export.hpp"
#include "headwise/tensor.hpp"

namespace headwise {

/// Which two elements of a row are rotated as a pair: neighbours, (0, 1), (2, 3), ..., or one of each half, (0, dims/2), (1, dims/2
/// + 1), ...
enum class RopePairs { interleaved, half_split };

/// Rotary position embedding (Su et al. 2021, RoFormer): pair i of a row at position p is rotated by the angle p * base^(-2 i /
/// dims).
struct RopeOptions {
    std::int64_t dims = 0;  ///< how many leading elements of a row are rotated: even, 2 to the head dimension; the others stay
    double base = 10000;    ///< above 0
    RopePairs pairs = RopePairs::half_split;
};

struct RopeAngles;  // the engine's own

/// The cosines and sines of all angles, in f32, for up to 2^31 positions. Each is within 1 ULP, or 2^-50, of the cosine or sine of
/// the exact product of the position and the pair's f64 frequency. The same bits on every ISA.
///
/// The first rows, up to 32 MiB of them, are stored: with 128 dims, all positions below 65,536. Rows of higher positions are
/// computed from f64 tables (at most 4608 rows) when needed; attention that rotates such keys takes 10 to 15 % longer.
///
/// Immutable; copies share their data. Any number of plans and threads may use it at once. The constructor throws Error or
/// std::bad_alloc.
class RopeTable {
  public:
    /// For positions -(positions - 1) to positions - 1; `positions` is 1 to 2^31.
    HEADWISE_API RopeTable(const RopeOptions& options, std::int64_t positions);

    const RopeOptions& options() const noexcept { return options_; }
    std::int64_t positions() const noexcept { return positions_; }

    /// Writes the angles of `position`, 0 to positions() - 1, to `to` [dims]: dims / 2 cosines, then as many sines. For -position,
    /// negate the sines.
    HEADWISE_API void angles(std::int64_t position, float* to) const noexcept;

    /// For the engine.
    const RopeAngles& engine_angles() const noexcept { return *angles_; }

  private:
    RopeOptions options_;
    std::int64_t positions_;
    std::shared_ptr<const RopeAngles> angles_;
};

/// out[b,h,i,:] = x[b,h,i,:] rotated by its position. x and out are [batch, heads, length, dim] with any strides, the last one 1;
/// dim is at least the table's dims. out may be x itself (same data and strides); otherwise they must not overlap. `positions`
/// [batch or 1, length] gives each token's position; without it (data null), token i is at first_position + i. Throws Error before
/// anything is written, also if a position is beyond the table. Thread-safe.
HEADWISE_API void apply_rope(const TensorView<const float, 4>& x, const TensorView<float, 4>& out, const RopeTable& table,
                             const TensorView<const std::int32_t, 2>& positions = {}, std::int64_t first_position = 0);

}  // namespace headwise
