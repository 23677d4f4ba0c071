#include "variants/check.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "headwise/reference.hpp"
#include "measure/accuracy.hpp"

namespace headwise::tools {
namespace {

// Of one call 4 heads and 8 of their rows: at 16384 keys and 128 dimensions that is 0.3 GFLOP for f32 and as many for f64.
constexpr std::int64_t kCheckedHeads = 4, kCheckedRows = 8;

// Weights below 2^-100 of the largest one or the sink are 0.
constexpr double kCutWeight = 0x1p-99;

/// At most `most` of 0 .. total - 1, evenly spread, the first and the last among them.
std::vector<std::int64_t> some_of(std::int64_t total, std::int64_t most) {
    std::vector<std::int64_t> chosen;
    const std::int64_t count = std::min(total, most);
    for (std::int64_t i = 0; i < count; ++i) chosen.push_back(count > 1 ? i * (total - 1) / (count - 1) : 0);
    return chosen;
}

/// Of a tensor [batch, heads, length, dim]: head h of sequence b, `length` tokens from the first.
template <class T>
TensorView<T, 4> part_of(const TensorView<T, 4>& x, std::int64_t b, std::int64_t h, std::int64_t first, std::int64_t length) {
    return {x.data + b * x.stride[0] + h * x.stride[1] + first * x.stride[2], {1, 1, length, x.extent[3]}, x.stride};
}

/// Of a tensor of pairs [batch or 1, heads or 1, ..]: those of head h of sequence b.
template <class T>
TensorView<T, 4> pairs_of(const TensorView<T, 4>& x, std::int64_t b, std::int64_t h) {
    if (!x.data) return x;
    return {x.data + (x.extent[0] == 1 ? 0 : b * x.stride[0]) + (x.extent[1] == 1 ? 0 : h * x.stride[1]),
            {1, 1, x.extent[2], x.extent[3]},
            x.stride};
}

template <class T>
std::span<const T> one_of(std::span<const T> values, std::int64_t i) {
    return values.empty() ? values : values.subspan(static_cast<std::size_t>(i), 1);
}

/// What the call computes for head h of sequence b, as a call of its own: all queries, so that every rule has the same positions.
AttentionArguments one_head(const VariantCall& call, std::int64_t b, std::int64_t h) {
    const AttentionArguments& a = call.arguments;
    const std::int64_t kv_head = h / (call.shape.num_heads / call.shape.num_kv_heads);
    const bool ragged = !a.cumulative_query_lengths.empty();
    const auto tokens = [&](const auto& x, const PrefixSums& sums, std::int64_t head) {
        const auto index = static_cast<std::size_t>(b);
        return ragged ? part_of(x, 0, head, sums[index], sums[index + 1] - sums[index]) : part_of(x, b, head, 0, x.extent[2]);
    };
    AttentionArguments one;
    one.query = tokens(a.query, a.cumulative_query_lengths, h);
    one.out = tokens(a.out, a.cumulative_query_lengths, h);
    if (a.page_table.data) {
        one.key = a.key, one.value = a.value;
        for (auto* pool : {&one.key, &one.value}) pool->data += kv_head * pool->stride[1], pool->extent[1] = 1;
        one.page_table = {a.page_table.data + b * a.page_table.stride[0], {1, a.page_table.extent[1]}, a.page_table.stride};
    } else {
        one.key = tokens(a.key, a.cumulative_key_lengths, kv_head);
        one.value = tokens(a.value, a.cumulative_key_lengths, kv_head);
    }
    if (a.log_sum_exp.data) {
        const auto& x = a.log_sum_exp;
        one.log_sum_exp = {x.data + b * x.stride[0] + h * x.stride[1], {1, 1, x.extent[2]}, x.stride};
    }
    one.key_lengths = one_of(a.key_lengths, b);
    one.prefix_lengths = one_of(a.prefix_lengths, b);
    one.scales = one_of(a.scales, h);
    one.alibi_slopes = one_of(a.alibi_slopes, h);
    one.sinks = one_of(a.sinks, h);
    one.bias = pairs_of(a.bias, b, h);
    one.mask = pairs_of(a.mask, b, h);
    one.mask_bits = pairs_of(a.mask_bits, b, h);
    one.block_mask = a.block_mask;
    one.block_mask.visible = pairs_of(a.block_mask.visible, b, h);
    one.tree_parents = a.tree_parents;
    if (a.tree_parents.extent[0] > 1) one.tree_parents.data += b * a.tree_parents.stride[0], one.tree_parents.extent[0] = 1;
    return one;
}

/// Hides all keys from every query but `rows`, so that the naive loops pass over them: one more mask, as a block mask with a row of
/// blocks for each query, or where the call has one of these, as bytes. `mask` is what it lies in.
void hide_all_but(const std::vector<std::int64_t>& rows, std::int64_t keys, AttentionArguments& a,
                  std::vector<std::uint8_t>& mask) {
    const bool by_block = a.block_mask.visible.data == nullptr;
    const std::int64_t queries = a.query.extent[2], columns = by_block ? 1 : keys;
    mask.assign(static_cast<std::size_t>(queries * columns), 0);
    for (const std::int64_t i : rows) std::fill_n(mask.begin() + i * columns, columns, std::uint8_t{1});
    const TensorView<const std::uint8_t, 4> view(mask.data(), {1, 1, queries, columns});
    if (by_block)
        a.block_mask = {.visible = view, .query_block = 1, .key_block = std::max<std::int64_t>(keys, 1)};
    else
        a.mask = view;
}

/// The rows of a head by the naive loops, in T.
template <class T>
struct NaiveRows {
    std::vector<T> out, log_sum_exp;

    NaiveRows(const TensorView<const T, 4>& query, const TensorView<const T, 4>& key, const TensorView<const T, 4>& value,
              const AttentionOptions& options, const AttentionArguments& rules)
        : out(static_cast<std::size_t>(query.extent[2] * value.extent[3])), log_sum_exp(static_cast<std::size_t>(query.extent[2])) {
        reference::attention<T>(query, key, value, {out.data(), {1, 1, query.extent[2], value.extent[3]}}, options, rules,
                                {log_sum_exp.data(), {1, 1, query.extent[2]}});
    }
};

/// The same numbers in f64, contiguous.
struct WideTensor {
    explicit WideTensor(const TensorView<const float, 4>& x) {
        memory.reserve(static_cast<std::size_t>(x.extent[0] * x.extent[2] * x.extent[3]));
        for (std::int64_t page = 0; page < x.extent[0]; ++page)
            for (std::int64_t i = 0; i < x.extent[2]; ++i) {
                const float* row = x.data + page * x.stride[0] + i * x.stride[2];
                memory.insert(memory.end(), row, row + x.extent[3]);
            }
        view = {memory.data(), x.extent};
    }

    std::vector<double> memory;
    TensorView<const double, 4> view;
};

/// A head's rows that are checked, and its rules with all other rows hidden.
struct CheckedRows {
    explicit CheckedRows(const AttentionArguments& head) : rows(some_of(head.query.extent[2], kCheckedRows)), rules(head) {
        keys = head.key_lengths.empty() ? head.key.extent[2] : head.key_lengths[0];
        hide_all_but(rows, keys, rules, mask_);
    }

    std::vector<std::int64_t> rows;
    std::int64_t keys = 0;
    AttentionArguments rules;

  private:
    std::vector<std::uint8_t> mask_;
};

template <class Values>
auto row_of(const Values& values, std::int64_t i, std::size_t size) {
    return std::span(values).subspan(static_cast<std::size_t>(i) * size, size);
}

/// Returns what the values of all keys come to where their weights are cut.
double check_head(const AttentionOptions& options, const AttentionArguments& head, AccuracyRecord& out,
                  AccuracyRecord& log_sum_exp) {
    const CheckedRows checked(head);
    const NaiveRows<float> naive(head.query, head.key, head.value, options, checked.rules);
    const WideTensor query(head.query), key(head.key), value(head.value);
    const NaiveRows<double> exact(query.view, key.view, value.view, options, checked.rules);

    const auto dim = static_cast<std::size_t>(head.out.extent[3]);
    for (const std::int64_t i : checked.rows) {
        out.add({head.out.data + i * head.out.stride[2], dim}, row_of(naive.out, i, dim), row_of(exact.out, i, dim));
        if (head.log_sum_exp.data)
            log_sum_exp.add({head.log_sum_exp.data + i * head.log_sum_exp.stride[2], 1}, row_of(naive.log_sum_exp, i, 1),
                            row_of(exact.log_sum_exp, i, 1));
    }
    double largest = 0;
    for (const double x : value.memory) largest = std::max(largest, std::abs(x));
    return kCutWeight * static_cast<double>(checked.keys) * largest;
}

// ------------------------------------------------------------------------------------------------------------------------ weights

/// The weights of a head by the naive loops, in T: [queries, keys].
template <class T>
std::vector<T> naive_weights(const TensorView<const T, 4>& query, const TensorView<const T, 4>& key,
                             const AttentionOptions& options, const CheckedRows& checked) {
    std::vector<T> weights(static_cast<std::size_t>(query.extent[2] * checked.keys));
    reference::attention_weights<T>(query, key, {weights.data(), {1, 1, query.extent[2], checked.keys}}, options, checked.rules);
    return weights;
}

/// The first k in falling order.
template <class T>
std::vector<T> largest_of(std::span<const T> weights, std::size_t k) {
    std::vector<T> sorted(weights.begin(), weights.end());
    std::ranges::sort(sorted, std::ranges::greater{});
    sorted.resize(std::min(k, sorted.size()));
    return sorted;
}

/// All weights of head h of sequence b, or the k largest of each row, whichever the call writes. Of the keys of the latter their
/// weights are checked.
void check_weights(const VariantCall& call, const AttentionArguments& head, std::int64_t b, std::int64_t h, AccuracyRecord& out) {
    const CheckedRows checked(head);
    const std::vector<float> naive = naive_weights(head.query, head.key, call.options, checked);
    const WideTensor query(head.query), key(head.key);
    const std::vector<double> exact = naive_weights(query.view, key.view, call.options, checked);

    const auto keys = static_cast<std::size_t>(checked.keys);
    const auto written = [&](const auto& x, std::int64_t i) {
        return std::span(x.data + b * x.stride[0] + h * x.stride[1] + i * x.stride[2], static_cast<std::size_t>(x.extent[3]));
    };
    for (const std::int64_t i : checked.rows) {
        const std::span<const float> naive_row = row_of(naive, i, keys);
        const std::span<const double> exact_row = row_of(exact, i, keys);
        if (call.weights.weights.data) out.add(written(call.weights.weights, i).first(keys), naive_row, exact_row);
        if (!call.weights.top_weights.data) continue;
        const std::span<const float> top = written(call.weights.top_weights, i);
        out.add(top, largest_of(naive_row, top.size()), largest_of(exact_row, top.size()));
        // -1 where no weight is above 0.
        std::vector<float> naive_at_keys;
        std::vector<double> exact_at_keys;
        for (const std::int32_t j : written(call.weights.top_keys, i)) {
            naive_at_keys.push_back(j < 0 ? 0 : naive_row[static_cast<std::size_t>(j)]);
            exact_at_keys.push_back(j < 0 ? 0 : exact_row[static_cast<std::size_t>(j)]);
        }
        out.add(top, naive_at_keys, exact_at_keys);
    }
}

// ------------------------------------------------------------------------------------------------------------------ merged states

struct StateSums {
    double log_sum_exp;
    double weights[2];
};

/// The union of two key sets by the formula, in T. -Inf: no key.
template <class T>
StateSums merged(T a, T b) {
    const T most = std::max(a, b), x = std::exp(a - most), y = std::exp(b - most);
    return {static_cast<double>(most + std::log(x + y)), {static_cast<double>(x / (x + y)), static_cast<double>(y / (x + y))}};
}

void check_merged(const VariantCall& call, std::int64_t b, std::int64_t h, AccuracyRecord& out, AccuracyRecord& log_sum_exp) {
    const auto row = [&](const auto& x, std::int64_t i) { return x.data + b * x.stride[0] + h * x.stride[1] + i * x.stride[2]; };
    const auto dim = static_cast<std::size_t>(call.shape.value_dim);
    std::vector<float> naive(dim);
    std::vector<double> exact(dim);
    for (const std::int64_t i : some_of(call.shape.query_length, kCheckedRows)) {
        const float first = *row(call.states[0].log_sum_exp, i), second = *row(call.states[1].log_sum_exp, i);
        const StateSums narrow = merged<float>(first, second), wide = merged<double>(first, second);
        const float *x = row(call.states[0].out, i), *y = row(call.states[1].out, i);
        for (std::size_t d = 0; d < dim; ++d) {
            naive[d] = static_cast<float>(narrow.weights[0]) * x[d] + static_cast<float>(narrow.weights[1]) * y[d];
            exact[d] = wide.weights[0] * static_cast<double>(x[d]) + wide.weights[1] * static_cast<double>(y[d]);
        }
        out.add({row(call.arguments.out, i), dim}, naive, exact);
        const float naive_sum = static_cast<float>(narrow.log_sum_exp);
        log_sum_exp.add({row(call.arguments.log_sum_exp, i), 1}, {&naive_sum, 1}, {&wide.log_sum_exp, 1});
    }
}

}  // namespace

bool VariantAccuracy::wrong() const {
    return is_wrong(out) || is_wrong(log_sum_exp);
}

VariantAccuracy check_call(const VariantCall& call) {
    const std::int64_t heads = call.shape.num_heads, total = call.shape.batch * heads;
    AccuracyRecord out, log_sum_exp;
    double negligible = call.weighs() ? kCutWeight : 0;
    for (const std::int64_t head : some_of(total, kCheckedHeads)) {
        const std::int64_t b = head / heads, h = head % heads;
        if (call.merges())
            check_merged(call, b, h, out, log_sum_exp);
        else if (call.weighs())
            check_weights(call, one_head(call, b, h), b, h, out);
        else
            negligible = std::max(negligible, check_head(call.options, one_head(call, b, h), out, log_sum_exp));
    }
    const auto& extent = call.arguments.out.extent;
    const std::int64_t total_rows = extent[0] * extent[1] * extent[2];
    VariantAccuracy accuracy{out.result(total_rows), log_sum_exp.result(total_rows)};
    accuracy.out.negligible = negligible;
    return accuracy;
}

}  // namespace headwise::tools
