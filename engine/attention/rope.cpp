#include "headwise/rope.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>

#include "engine/kernels/kernel_table.hpp"
#include "engine/runtime/parallel.hpp"
#include "engine/tensor/view_check.hpp"
#include "headwise/cpu.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

// Tokens that one item of work turns in all heads, so that the heads but the first find their angles in the L1 cache: 8 KiB for 128
// dims.
constexpr std::int64_t kTokensPerItem = 16;
// What one thread does in a microsecond, measured on Zen 4.
constexpr double kBytesPerMicrosecond = 2e4;
constexpr double kAnglesPerMicrosecond = 50;

std::string text(std::int64_t x) {
    return std::to_string(x);
}
std::string text(double x) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%g", x);
    return buffer;
}

// ---------------------------------------------------------------------------------------------------------------- the table

double frequency(const RopeOptions& options, std::int64_t pair) {
    return std::pow(options.base, -2.0 * static_cast<double>(pair) / static_cast<double>(options.dims));
}

/// Floats that the table takes.
std::size_t checked_size(const RopeOptions& options, std::int64_t positions) {
    if (options.dims < 2 || options.dims % 2 != 0)
        throw Error("options.dims is " + text(options.dims) + ": expected an even number, 2 or more");
    if (!(options.base > 0) || !std::isfinite(options.base))
        throw Error("options.base is " + text(options.base) + ": expected a finite number above 0");
    if (options.pairs != RopePairs::interleaved && options.pairs != RopePairs::half_split)
        throw Error("options.pairs is " + text(static_cast<std::int64_t>(options.pairs)) + ": not a value of RopePairs");
    if (positions < 1) throw Error("positions is " + text(positions) + ": expected at least 1");
    std::int64_t size = 0;
    if (__builtin_mul_overflow(options.dims, positions, &size) ||
        size > std::numeric_limits<std::int64_t>::max() / static_cast<std::int64_t>(sizeof(float)))
        throw Error("options.dims is " + text(options.dims) + " and positions is " + text(positions) +
                    ": the size of the table exceeds 64 bits");
    // The last pair turns fastest where the base is below 1.
    if (!std::isfinite(static_cast<double>(positions - 1) * frequency(options, options.dims / 2 - 1)))
        throw Error("options.base is " + text(options.base) + ": too small, the largest angle is not finite");
    return static_cast<std::size_t>(size);
}

// ------------------------------------------------------------------------------------------------------------------ the call

void check_positions(const TensorView<const float, 4>& x, const TensorView<float, 4>& out, const ElementRange& out_range,
                     const RopeTable& table, const TensorView<const std::int32_t, 2>& positions) {
    const ElementRange range = checked_range("positions", positions);
    if (positions.extent[0] != 1) check_extent("positions", positions, 0, x.extent[0], "x.extent[0], the batch, or 1");
    check_extent("positions", positions, 1, x.extent[2], "x.extent[2], the number of tokens");
    const TensorView<const std::int32_t, 4> in_four_axes(positions.data, {positions.extent[0], 1, positions.extent[1], 1},
                                                         {positions.stride[0], 0, positions.stride[1], 1});
    check_no_overlap("out", out, out_range, "positions", in_four_axes, range);
    for (std::int64_t b = 0; b < positions.extent[0]; ++b)
        for (std::int64_t i = 0; i < positions.extent[1]; ++i) {
            const std::int64_t position = positions.data[b * positions.stride[0] + i * positions.stride[1]];
            if (std::abs(position) >= table.positions())
                throw Error("positions[" + text(b) + "," + text(i) + "] is " + text(position) + ": the table reaches from " +
                            text(1 - table.positions()) + " to " + text(table.positions() - 1));
        }
}

void check_first_position(const TensorView<const float, 4>& x, const RopeTable& table, std::int64_t first_position) {
    const std::int64_t length = x.extent[2], last = table.positions() - 1;
    // In this order nothing overflows.
    if (length == 0 || (first_position >= -last && first_position <= last && length - 1 <= last - first_position)) return;
    throw Error("first_position is " + text(first_position) + " and x.extent[2] is " + text(length) + ": the table reaches from " +
                text(-last) + " to " + text(last));
}

void check_call(const TensorView<const float, 4>& x, const TensorView<float, 4>& out, const RopeTable& table,
                const TensorView<const std::int32_t, 2>& positions, std::int64_t first_position) {
    const ElementRange x_range = checked_range("x", x), out_range = checked_range("out", out);
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
    if (!is_same_view(x, out)) check_no_overlap("out", out, out_range, "x", x, x_range);
    if (positions.data)
        check_positions(x, out, out_range, table, positions);
    else
        check_first_position(x, table, first_position);
}

}  // namespace

RopeTable::RopeTable(const RopeOptions& options, std::int64_t positions)
    : options_(options), positions_(positions), angles_(checked_size(options, positions)) {
    const std::int64_t pairs = options.dims / 2;
    std::vector<double> frequencies(static_cast<std::size_t>(pairs));
    for (std::int64_t i = 0; i < pairs; ++i) frequencies[static_cast<std::size_t>(i)] = frequency(options, i);
    const int workers = runtime::workers_for(static_cast<double>(pairs) * static_cast<double>(positions) / kAnglesPerMicrosecond);
    runtime::for_each_item(workers, positions, [&](int, std::int64_t position) {
        float* cosines = angles_.data() + position * options.dims;
        for (std::int64_t i = 0; i < pairs; ++i) {
            const double angle = static_cast<double>(position) * frequencies[static_cast<std::size_t>(i)];
            cosines[i] = static_cast<float>(std::cos(angle));
            cosines[pairs + i] = static_cast<float>(std::sin(angle));
        }
    });
}

void apply_rope(const TensorView<const float, 4>& x, const TensorView<float, 4>& out, const RopeTable& table,
                const TensorView<const std::int32_t, 2>& positions, std::int64_t first_position) {
    check_call(x, out, table, positions, first_position);
    const std::int64_t batch = x.extent[0], heads = x.extent[1], length = x.extent[2], dim = x.extent[3];
    if (batch == 0 || heads == 0 || length == 0) return;

    const std::int64_t dims = table.options().dims;
    const bool interleaved = table.options().pairs == RopePairs::interleaved;
    const RopeKernels& kernels = kernel_table(active_isa()).rope;
    const auto turn_token = [&](std::int64_t b, std::int64_t h, std::int64_t i) {
        const std::int64_t row = positions.extent[0] == 1 ? 0 : b;
        const std::int64_t position =
            positions.data ? positions.data[row * positions.stride[0] + i * positions.stride[1]] : first_position + i;
        const float* cosines = table.row(std::abs(position));
        kernels.rotate(x.data + b * x.stride[0] + h * x.stride[1] + i * x.stride[2],
                       out.data + b * out.stride[0] + h * out.stride[1] + i * out.stride[2], dim, cosines, cosines + dims / 2, dims,
                       interleaved, position < 0);
    };

    const std::int64_t blocks = (length + kTokensPerItem - 1) / kTokensPerItem;
    const double bytes = 2.0 * sizeof(float) * static_cast<double>(batch * heads) * static_cast<double>(length * dim);
    const auto end_of = [&](std::int64_t item) { return std::min((item % blocks + 1) * kTokensPerItem, length); };
    const auto turn_tokens = [&](int, std::int64_t item) {
        for (std::int64_t h = 0; h < heads; ++h)
            for (std::int64_t i = item % blocks * kTokensPerItem; i < end_of(item); ++i) turn_token(item / blocks, h, i);
    };
    const auto label = [&](std::int64_t item) {
        const auto rows = static_cast<double>(heads) * static_cast<double>(end_of(item) - item % blocks * kTokensPerItem);
        return runtime::TaskLabel{.batch = item / blocks,
                                  .heads = heads,
                                  .query_block = item % blocks,
                                  .kernel = "rotate",
                                  .flops = 3 * rows * static_cast<double>(dims),  // 4 products and 2 sums a pair
                                  .bytes = 2 * sizeof(float) * rows * static_cast<double>(dim)};
    };
    runtime::for_each_item(runtime::workers_for(bytes / kBytesPerMicrosecond), batch * blocks, turn_tokens, "rope", label);
}

}  // namespace headwise
