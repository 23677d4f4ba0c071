#include "variant_check.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "accuracy.hpp"
#include "comparison.hpp"
#include "headwise/reference.hpp"

namespace headwise::tools {
namespace {

// Of one call 4 heads and 8 of their rows: at 16384 keys and 128 dimensions that is 0.3 GFLOP for f32 and as many for f64.
constexpr std::int64_t kCheckedHeads = 4, kCheckedRows = 8;

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

void check_head(const AttentionOptions& options, const AttentionArguments& head, AccuracyRecord& out, AccuracyRecord& log_sum_exp) {
    const std::vector<std::int64_t> rows = some_of(head.query.extent[2], kCheckedRows);
    const std::int64_t keys = head.key_lengths.empty() ? head.key.extent[2] : head.key_lengths[0];
    AttentionArguments rules = head;
    std::vector<std::uint8_t> mask;
    hide_all_but(rows, keys, rules, mask);
    const NaiveRows<float> naive(head.query, head.key, head.value, options, rules);
    const WideTensor query(head.query), key(head.key), value(head.value);
    const NaiveRows<double> exact(query.view, key.view, value.view, options, rules);

    const auto dim = static_cast<std::size_t>(head.out.extent[3]);
    const auto row_of = [](const auto& values, std::int64_t i, std::size_t size) {
        return std::span(values).subspan(static_cast<std::size_t>(i) * size, size);
    };
    for (const std::int64_t i : rows) {
        out.add({head.out.data + i * head.out.stride[2], dim}, row_of(naive.out, i, dim), row_of(exact.out, i, dim));
        if (head.log_sum_exp.data)
            log_sum_exp.add({head.log_sum_exp.data + i * head.log_sum_exp.stride[2], 1}, row_of(naive.log_sum_exp, i, 1),
                            row_of(exact.log_sum_exp, i, 1));
    }
}

}  // namespace

bool VariantAccuracy::wrong() const {
    return is_wrong(out) || is_wrong(log_sum_exp);
}

VariantAccuracy check_call(const VariantCall& call) {
    const std::int64_t heads = call.shape.num_heads, total = call.shape.batch * heads;
    AccuracyRecord out, log_sum_exp;
    for (const std::int64_t head : some_of(total, kCheckedHeads))
        check_head(call.options, one_head(call, head / heads, head % heads), out, log_sum_exp);
    const auto& extent = call.arguments.out.extent;
    const std::int64_t total_rows = extent[0] * extent[1] * extent[2];
    return {out.result(total_rows), log_sum_exp.result(total_rows)};
}

}  // namespace headwise::tools
