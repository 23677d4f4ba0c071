#include "headwise/rope.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "engine/attention/call_memory.hpp"
#include "engine/kernels/kernel_table.hpp"
#include "engine/runtime/parallel.hpp"
#include "engine/runtime/workspace_pool.hpp"
#include "engine/tensor/number_text.hpp"
#include "engine/tensor/view_check.hpp"
#include "headwise/cpu.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

// Tokens that one item rotates in all heads. After the first head, the angles are in the L1 cache: 8 KiB for 128 dims.
constexpr std::int64_t kTokensPerItem = 16;
// What one thread does in a microsecond, measured on Zen 4.
constexpr double kBytesPerMicrosecond = 2e4;
constexpr double kAnglesPerMicrosecond = 400;
constexpr double kExactAnglesPerMicrosecond = 10;

constexpr std::int64_t kMostDims = 4096;
constexpr std::int64_t kMostPositions = std::int64_t{1} << 31;
// Limit of the rows that are kept: with 128 dims, the angles of 65,536 positions.
constexpr std::int64_t kMostKeptBytes = std::int64_t{32} << 20;

std::string text(std::int64_t x) {
    return std::to_string(x);
}
std::string text(double x) {
    return number_text(x);
}

// ---------------------------------------------------------------------------------------------------------------- the table

double frequency(const RopeOptions& options, std::int64_t pair) {
    return std::pow(options.base, -2.0 * static_cast<double>(pair) / static_cast<double>(options.dims));
}

void check_options(const RopeOptions& options, std::int64_t positions) {
    if (options.dims < 2 || options.dims > kMostDims || options.dims % 2 != 0)
        throw Error("options.dims is " + text(options.dims) + ": expected an even number, 2 to " + text(kMostDims));
    if (!(options.base > 0) || !std::isfinite(options.base))
        throw Error("options.base is " + text(options.base) + ": expected a finite number above 0");
    if (options.pairs != RopePairs::interleaved && options.pairs != RopePairs::half_split)
        throw Error("options.pairs is " + text(static_cast<std::int64_t>(options.pairs)) + ": not a value of RopePairs");
    if (positions < 1 || positions > kMostPositions)
        throw Error("positions is " + text(positions) + ": expected 1 to " + text(kMostPositions));
    // If the base is below 1, the last pair has the largest angles.
    if (!std::isfinite(static_cast<double>(positions - 1) * frequency(options, options.dims / 2 - 1)))
        throw Error("options.base is " + text(options.base) + ": too small, the largest angle is not finite");
}

/// The numbers of rows in a table for `positions` positions.
struct TableRows {
    TableRows(std::int64_t dims, std::int64_t positions)
        : low(std::min(positions, kLow)),
          middle(std::min((positions - 1) / kLow + 1, kMiddle)),
          high((positions - 1) / (kLow * kMiddle) + 1),
          kept(std::min(positions, std::max<std::int64_t>(kMostKeptBytes / (dims * std::int64_t{sizeof(float)}), 1))) {}

    static constexpr std::int64_t kLow = std::int64_t{1} << RopeAngles::kLowBits,
                                  kMiddle = std::int64_t{1} << RopeAngles::kMiddleBits;
    std::int64_t low, middle, high, kept;
};

/// The angles of a table and the memory they are in.
struct OwnedAngles : RopeAngles {
    OwnedAngles(const RopeOptions& options, std::int64_t positions);

  private:
    void make_part(std::vector<double>& part, std::int64_t step, std::int64_t rows, const std::vector<double>& frequencies) const;
    void keep_rows();

    std::vector<double> parts_[3];  // low, middle, high: [rows][dims]
    std::vector<float> rows_;
};

/// part[row] = the angles of position row * step, as exact as f64 allows: the product of position and frequency is split into its
/// f64 value and the remainder, which matters at far positions.
void OwnedAngles::make_part(std::vector<double>& part, std::int64_t step, std::int64_t rows,
                            const std::vector<double>& frequencies) const {
    const auto pairs = static_cast<std::int64_t>(frequencies.size());
    part.resize(static_cast<std::size_t>(rows * dims));
    const double microseconds = static_cast<double>(rows) * static_cast<double>(pairs) / kExactAnglesPerMicrosecond;
    runtime::for_each_item(runtime::workers_for(microseconds), rows, [&](int, std::int64_t row) {
        double* cosines = part.data() + row * dims;
        const auto position = static_cast<double>(row * step);
        for (std::int64_t i = 0; i < pairs; ++i) {
            const double frequency = frequencies[static_cast<std::size_t>(i)], angle = position * frequency;
            const double rest = std::fma(position, frequency, -angle);
            cosines[i] = std::cos(angle) * std::cos(rest) - std::sin(angle) * std::sin(rest);
            cosines[pairs + i] = std::sin(angle) * std::cos(rest) + std::cos(angle) * std::sin(rest);
        }
    });
}

void OwnedAngles::keep_rows() {
    const double angles = 0.5 * static_cast<double>(dims) * static_cast<double>(kept_positions);
    runtime::for_each_item(runtime::workers_for(angles / kAnglesPerMicrosecond), kept_positions,
                           [&](int, std::int64_t position) { combine_angles(*this, position, rows_.data() + position * dims); });
}

OwnedAngles::OwnedAngles(const RopeOptions& options, std::int64_t positions) {
    dims = options.dims;
    std::vector<double> frequencies(static_cast<std::size_t>(dims / 2));
    for (std::size_t i = 0; i < frequencies.size(); ++i) frequencies[i] = frequency(options, static_cast<std::int64_t>(i));
    const TableRows rows(dims, positions);
    make_part(parts_[0], 1, rows.low, frequencies);
    make_part(parts_[1], TableRows::kLow, rows.middle, frequencies);
    make_part(parts_[2], TableRows::kLow * TableRows::kMiddle, rows.high, frequencies);
    low = parts_[0].data();
    middle = parts_[1].data();
    high = parts_[2].data();
    kept_positions = rows.kept;
    rows_.resize(static_cast<std::size_t>(kept_positions * dims));
    keep_rows();
    kept = rows_.data();
}

// ------------------------------------------------------------------------------------------------------------------ the call

// Checks return the largest distance of a token from position 0.

std::int64_t check_positions(const TensorView<const float, 4>& x, const CheckedView& out, const RopeTable& table,
                             const TensorView<const std::int32_t, 2>& positions) {
    const CheckedView checked = checked_view("positions", positions);
    if (positions.extent[0] != 1) check_extent("positions", positions, 0, x.extent[0], "x.extent[0], the batch, or 1");
    check_extent("positions", positions, 1, x.extent[2], "x.extent[2], the number of tokens");
    check_apart(out, checked);
    std::int64_t farthest = 0;
    for (std::int64_t b = 0; b < positions.extent[0]; ++b)
        for (std::int64_t i = 0; i < positions.extent[1]; ++i) {
            const std::int64_t position = positions.data[b * positions.stride[0] + i * positions.stride[1]];
            farthest = std::max(farthest, std::abs(position));
            if (std::abs(position) >= table.positions())
                throw Error("positions[" + text(b) + "," + text(i) + "] is " + text(position) + ": the table reaches from " +
                            text(1 - table.positions()) + " to " + text(table.positions() - 1));
        }
    return farthest;
}

std::int64_t check_first_position(const TensorView<const float, 4>& x, const RopeTable& table, std::int64_t first_position) {
    const std::int64_t length = x.extent[2], last = table.positions() - 1;
    if (length == 0) return 0;
    // In this order nothing overflows.
    if (first_position >= -last && first_position <= last && length - 1 <= last - first_position)
        return std::max(std::abs(first_position), std::abs(first_position + length - 1));
    throw Error("first_position is " + text(first_position) + " and x.extent[2] is " + text(length) + ": the table reaches from " +
                text(-last) + " to " + text(last));
}

std::int64_t check_call(const TensorView<const float, 4>& x, const TensorView<float, 4>& out, const RopeTable& table,
                        const TensorView<const std::int32_t, 2>& positions, std::int64_t first_position) {
    const CheckedView checked_x = checked_view("x", x), checked_out = checked_view("out", out);
    check_extent("out", out, 0, x.extent[0], "x.extent[0], the batch");
    check_extent("out", out, 1, x.extent[1], "x.extent[1], the number of heads");
    check_extent("out", out, 2, x.extent[2], "x.extent[2], the number of tokens");
    check_extent("out", out, 3, x.extent[3], "x.extent[3], the dimension");
    if (x.extent[3] < table.options().dims)
        throw Error("x.extent[3] is " + text(x.extent[3]) + ": expected at least " + text(table.options().dims) +
                    ", the dims of the table");
    check_unit_stride("x", x);
    check_unit_stride("out", out);
    check_no_self_overlap("out", out);
    if (!is_same_view(x, out)) check_apart(checked_out, checked_x);
    return positions.data ? check_positions(x, checked_out, table, positions) : check_first_position(x, table, first_position);
}

}  // namespace

std::size_t rope_table_bytes(std::int64_t dims, std::int64_t positions) {
    const TableRows rows(dims, positions);
    return static_cast<std::size_t>(dims) * (sizeof(double) * static_cast<std::size_t>(rows.low + rows.middle + rows.high) +
                                             sizeof(float) * static_cast<std::size_t>(rows.kept));
}

RopeTable::RopeTable(const RopeOptions& options, std::int64_t positions) : options_(options), positions_(positions) {
    check_options(options, positions);
    angles_ = std::make_shared<const OwnedAngles>(options, positions);
}

void RopeTable::angles(std::int64_t position, float* to) const noexcept {
    const float* row = angles_of(*angles_, position, to);
    if (row != to) std::copy_n(row, options_.dims, to);
}

void apply_rope(const TensorView<const float, 4>& x, const TensorView<float, 4>& out, const RopeTable& table,
                const TensorView<const std::int32_t, 2>& positions, std::int64_t first_position) {
    const std::int64_t farthest = check_call(x, out, table, positions, first_position);
    const std::int64_t batch = x.extent[0], heads = x.extent[1], length = x.extent[2], dim = x.extent[3];
    if (batch == 0 || heads == 0 || length == 0) return;

    const std::int64_t dims = table.options().dims;
    const bool interleaved = table.options().pairs == RopePairs::interleaved;
    const RopeKernels& kernels = kernel_table(active_isa()).rope;
    const auto position_of = [&](std::int64_t b, std::int64_t i) -> std::int64_t {
        const std::int64_t row = positions.extent[0] == 1 ? 0 : b;
        return positions.data ? positions.data[row * positions.stride[0] + i * positions.stride[1]] : first_position + i;
    };

    const std::int64_t blocks = (length + kTokensPerItem - 1) / kTokensPerItem;
    const double bytes = 2.0 * sizeof(float) * static_cast<double>(batch * heads) * static_cast<double>(length * dim);
    const int workers = runtime::workers_for(bytes / kBytesPerMicrosecond);
    const std::int64_t made_rows = farthest < table.engine_angles().kept_positions ? 0 : kTokensPerItem;
    const runtime::PooledWorkspace made(static_cast<std::size_t>(workers * made_rows * dims) * sizeof(float));
    const auto end_of = [&](std::int64_t item) { return std::min((item % blocks + 1) * kTokensPerItem, length); };
    const auto turn_tokens = [&](int worker, std::int64_t item) {
        const std::int64_t b = item / blocks, begin = item % blocks * kTokensPerItem, end = end_of(item);
        const float* cosines[kTokensPerItem];
        for (std::int64_t i = begin; i < end; ++i) {
            float* room = reinterpret_cast<float*>(made.bytes().data()) + (worker * made_rows + (made_rows ? i - begin : 0)) * dims;
            cosines[i - begin] = kernels.angles(table.engine_angles(), std::abs(position_of(b, i)), room);
        }
        for (std::int64_t h = 0; h < heads; ++h)
            for (std::int64_t i = begin; i < end; ++i)
                kernels.rotate(x.data + b * x.stride[0] + h * x.stride[1] + i * x.stride[2],
                               out.data + b * out.stride[0] + h * out.stride[1] + i * out.stride[2], dim, cosines[i - begin],
                               cosines[i - begin] + dims / 2, dims, interleaved, position_of(b, i) < 0);
    };
    const auto label = [&](std::int64_t item) {
        const auto rows = static_cast<double>(heads) * static_cast<double>(end_of(item) - item % blocks * kTokensPerItem);
        return runtime::TaskLabel{.batch = item / blocks,
                                  .heads = heads,
                                  .row_block = item % blocks,
                                  .kernel = "rotate",
                                  .flops = 3 * rows * static_cast<double>(dims),  // 4 products and 2 sums a pair
                                  .bytes = 2 * sizeof(float) * rows * static_cast<double>(dim)};
    };
    runtime::for_each_item(workers, batch * blocks, turn_tokens, "rope", label);
}

}  // namespace headwise
