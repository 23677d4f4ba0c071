#include "headwise/merge_states.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "engine/kernels/kernel_table.hpp"
#include "engine/runtime/parallel.hpp"
#include "engine/tensor/steps.hpp"
#include "engine/tensor/view_check.hpp"
#include "headwise/cpu.hpp"

namespace headwise {
namespace {

constexpr float kEmpty = -std::numeric_limits<float>::infinity();  // log_sum_exp of a row that has seen no key

constexpr std::int64_t kRowsPerItem = 32;
// What one thread does in a microsecond, measured on Zen 4. The weights of a row take as long as 100 of its elements.
constexpr double kBytesPerMicrosecond = 2e4;
constexpr double kRowsPerMicrosecond = 40;

// ------------------------------------------------------------------------------------------------------------------ the checks

/// The names by which the caller knows the tensors.
struct StateNames {
    const char *out, *log_sum_exp;
};
constexpr StateNames kNames{"out", "log_sum_exp"}, kA{"a.out", "a.log_sum_exp"}, kB{"b.out", "b.log_sum_exp"};

struct CheckedState {
    CheckedView out, log_sum_exp;
};

/// `out` determines the extents.
CheckedState checked_state(const StateNames& names, const TensorView<const float, 4>& x,
                           const TensorView<const float, 3>& log_sum_exp, const TensorView<float, 4>& out) {
    const CheckedState state{checked_view(names.out, x), checked_view(names.log_sum_exp, log_sum_exp)};
    constexpr const char* kMeanings[] = {"out.extent[0], the batch", "out.extent[1], the number of heads",
                                         "out.extent[2], the number of queries", "out.extent[3], the value dimension"};
    for (std::size_t i = 0; i < 4; ++i) check_extent(names.out, x, i, out.extent[i], kMeanings[i]);
    for (std::size_t i = 0; i < 3; ++i) check_extent(names.log_sum_exp, log_sum_exp, i, out.extent[i], kMeanings[i]);
    check_unit_stride(names.out, x);
    return state;
}

/// A result may be the same view as the input; otherwise they must not overlap.
void check_may_write(const CheckedState& written, const CheckedState& read) {
    if (!is_same_view(written.out.view, read.out.view)) check_apart(written.out, read.out);
    if (!is_same_view(written.log_sum_exp.view, read.log_sum_exp.view)) check_apart(written.log_sum_exp, read.log_sum_exp);
    check_apart(written.out, read.log_sum_exp);
    check_apart(written.log_sum_exp, read.out);
}

void check_call(const AttentionState& a, const AttentionState& b, const TensorView<float, 4>& out,
                const TensorView<float, 3>& log_sum_exp) {
    const CheckedState written = checked_state(kNames, out, log_sum_exp, out);
    const CheckedState checked_a = checked_state(kA, a.out, a.log_sum_exp, out);
    const CheckedState checked_b = checked_state(kB, b.out, b.log_sum_exp, out);
    check_no_self_overlap(kNames.out, out);
    check_no_self_overlap(kNames.log_sum_exp, log_sum_exp);
    check_apart(written.out, written.log_sum_exp);
    check_may_write(written, checked_a);
    check_may_write(written, checked_b);
}

// -------------------------------------------------------------------------------------------------------------------- one row

constexpr double kLeastWeightLog = static_cast<double>(kLeastWeightLog2) * std::numbers::ln2;

struct StateRow {
    const float* out;
    float log_sum_exp;
};

/// Writes the row and returns its log_sum_exp.
float merge_row(const MergeKernels& kernels, StateRow a, StateRow b, float* out, std::int64_t dim) {
    if (a.log_sum_exp == -kEmpty) a.log_sum_exp = kEmpty;
    if (b.log_sum_exp == -kEmpty) b.log_sum_exp = kEmpty;
    // The larger side first, so that the order of a and b changes no bit. A NaN comes through from either side.
    if (b.log_sum_exp > a.log_sum_exp || a.log_sum_exp == kEmpty) std::swap(a, b);
    if (b.log_sum_exp == kEmpty) {
        if (a.log_sum_exp == kEmpty)
            std::fill_n(out, dim, 0.0f);
        else if (a.out != out)
            std::copy_n(a.out, dim, out);
        return a.log_sum_exp;
    }
    // e^(b.log_sum_exp - a.log_sum_exp), in double, because log_sum_exp must stay accurate over many merges. Below 2^-100 it is 0,
    // like a weight of attention: on some processors, denormal products and their exponential take many times as long.
    const double distance = static_cast<double>(b.log_sum_exp) - static_cast<double>(a.log_sum_exp);
    const double ratio = distance < kLeastWeightLog ? 0 : std::exp(distance);
    const double weight = 1 / (1 + ratio);
    kernels.blend(static_cast<float>(weight), a.out, static_cast<float>(ratio * weight), b.out, out, dim);
    return static_cast<float>(static_cast<double>(a.log_sum_exp) + std::log1p(ratio));
}

}  // namespace

void merge_states(const AttentionState& a, const AttentionState& b, const TensorView<float, 4>& out,
                  const TensorView<float, 3>& log_sum_exp) {
    check_call(a, b, out, log_sum_exp);
    const std::int64_t batch = out.extent[0], heads = out.extent[1], length = out.extent[2], dim = out.extent[3];
    if (batch == 0 || heads == 0 || length == 0) return;
    const std::int64_t rows = batch * heads * length;
    const MergeKernels& kernels = kernel_table(active_isa()).merge;
    // With dim 0 there is a log_sum_exp, but out has no elements.
    const auto a_out = without_unused_strides(a.out), b_out = without_unused_strides(b.out);
    const auto merged = without_unused_strides(out);
    const auto merge = [&](std::int64_t row) {
        const std::array<std::int64_t, 3> index{row / length / heads, row / length % heads, row % length};
        const auto at = [&](const auto& x) {
            return x.data + index[0] * x.stride[0] + index[1] * x.stride[1] + index[2] * x.stride[2];
        };
        *at(log_sum_exp) = merge_row(kernels, {at(a_out), *at(a.log_sum_exp)}, {at(b_out), *at(b.log_sum_exp)}, at(merged), dim);
    };

    const double bytes = 3.0 * sizeof(float) * static_cast<double>(rows) * static_cast<double>(dim);
    const int workers = runtime::workers_for(bytes / kBytesPerMicrosecond + static_cast<double>(rows) / kRowsPerMicrosecond);
    const auto end_of = [&](std::int64_t item) { return std::min((item + 1) * kRowsPerItem, rows); };
    const auto merge_rows = [&](int, std::int64_t item) {
        for (std::int64_t row = item * kRowsPerItem; row < end_of(item); ++row) merge(row);
    };
    const auto label = [&](std::int64_t item) {
        const std::int64_t row = item * kRowsPerItem;
        const auto elements = static_cast<double>(end_of(item) - row) * static_cast<double>(dim);
        return runtime::TaskLabel{.batch = row / length / heads,
                                  .head = row / length % heads,
                                  .row_block = item,
                                  .kernel = "blend",
                                  .flops = 3 * elements,
                                  .bytes = 3 * sizeof(float) * elements};
    };
    runtime::for_each_item(workers, (rows + kRowsPerItem - 1) / kRowsPerItem, merge_rows, "merge states", label);
}

}  // namespace headwise
