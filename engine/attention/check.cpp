#include "engine/attention/check.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/dispatch/isa.hpp"
#include "engine/tensor/number_text.hpp"
#include "engine/tensor/view_check.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

constexpr std::int64_t kMaxDim = 512;
constexpr float kMaxScale = 2e38f;

std::string size_text(const char* name, std::int64_t value) {
    return std::string(name) + " is " + std::to_string(value);
}

void check_between(const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
    if (value < low || value > high)
        throw Error(size_text(name, value) + ": expected " + std::to_string(low) + " to " + std::to_string(high));
}

void check_window(const char* name, std::int64_t bound) {
    if (bound < -1) throw Error(size_text(name, bound) + ": expected -1 (no bound) or more");
}

void check_softcap(const AttentionOptions& options) {
    if (!(options.softcap >= 0 && options.softcap < kMaxScale))
        throw Error("options.softcap is " + number_text(options.softcap) + ": expected 0 (none) or more, below 2e38");
}

}  // namespace

bool is_scale(const AttentionOptions& options, float scale) {
    // The negations of these also hold for NaN. With softcap the queries are scaled by 2 log2(e) scale / softcap. In double: the
    // product overflows f32, which a caller may have trapped.
    const double magnitude = std::abs(scale), most = kMaxScale;
    return magnitude <= most && (options.softcap == 0 || magnitude <= 0.5 * most * static_cast<double>(options.softcap));
}

void check_scale(const std::string& name, const AttentionOptions& options, float scale) {
    if (is_scale(options, scale)) return;
    throw Error(
        name + " is " + number_text(scale) + (options.softcap == 0 ? "" : ", options.softcap is " + number_text(options.softcap)) +
        ": expected a finite number of at most 2e38 in magnitude" + (options.softcap == 0 ? "" : ", divided by softcap 1e38"));
}

void check_shape(const AttentionShape& shape, const AttentionOptions& options, const ShapeNames& names) {
    constexpr std::int64_t kMaxHeads = std::int64_t{1} << 24;
    check_between(names.batch, shape.batch, 0, kMaxLength);
    check_between(names.num_heads, shape.num_heads, 1, kMaxHeads);
    check_between(names.num_kv_heads, shape.num_kv_heads, 1, kMaxHeads);
    check_between(names.query_length, shape.query_length, 0, kMaxLength);
    check_between(names.key_length, shape.key_length, 0, kMaxLength);
    check_between(names.head_dim, shape.head_dim, 1, kMaxDim);
    check_between(names.value_dim, shape.value_dim, 1, kMaxDim);
    if (shape.num_heads % shape.num_kv_heads != 0)
        throw Error(size_text(names.num_heads, shape.num_heads) + ", " + size_text(names.num_kv_heads, shape.num_kv_heads) +
                    ": the former must be a multiple of the latter");
    std::int64_t rows = 0;
    if (__builtin_mul_overflow(std::max<std::int64_t>(shape.batch, 1), shape.num_heads, &rows) ||
        __builtin_mul_overflow(rows, std::max<std::int64_t>(shape.query_length, 1), &rows) ||
        __builtin_mul_overflow(rows, kMaxDim * 64, &rows))
        throw Error(size_text(names.batch, shape.batch) + ", " + size_text(names.num_heads, shape.num_heads) + ", " +
                    size_text(names.query_length, shape.query_length) + ": their product exceeds 64 bits");
    check_softcap(options);
    check_scale("options.scale", options, options.scale.value_or(1));
    check_window("options.window.left", options.window.left);
    check_window("options.window.right", options.window.right);
    if (options.alignment != Alignment::bottom_right && options.alignment != Alignment::top_left)
        throw Error("options.alignment is " + std::to_string(static_cast<int>(options.alignment)) + ": not a value of Alignment");
    if (options.rope && options.rope->options().dims > shape.head_dim)
        throw Error("options.rope turns " + std::to_string(options.rope->options().dims) + " dims, " +
                    size_text(names.head_dim, shape.head_dim) + ": expected at most that many");
    if (options.max_threads < 0)
        throw Error("options.max_threads is " + std::to_string(options.max_threads) + ": expected 0 (no limit) or more");
    if (options.causal != Causal::none && options.causal != Causal::top_left && options.causal != Causal::bottom_right)
        throw Error("options.causal is " + std::to_string(static_cast<int>(options.causal)) + ": not a value of Causal");
    if (options.schedule != AttentionSchedule::automatic && options.schedule != AttentionSchedule::heads &&
        options.schedule != AttentionSchedule::heads_queries)
        throw Error("options.schedule is " + std::to_string(static_cast<int>(options.schedule)) +
                    ": not a value of AttentionSchedule");
    if (options.isa) require_available(*options.isa, "options.isa");
}

AttentionShape checked_shape(AttentionShape shape, const AttentionOptions& options) {
    if (shape.value_dim == 0) shape.value_dim = shape.head_dim;
    check_shape(shape, options, ShapeNames::of_shape());
    return shape;
}

namespace {

/// The batch that a tensor must have, and why.
struct ExpectedBatch {
    std::int64_t extent;
    const char* meaning;
};

ExpectedBatch batch_of(const AttentionShape& shape, const PrefixSums& sums) {
    return sums.empty() ? ExpectedBatch{shape.batch, "the batch of the plan"}
                        : ExpectedBatch{1, "sequences lie one behind the other"};
}

}  // namespace

CheckedKeys check_query_and_key(const AttentionShape& shape, const AttentionArguments& a) {
    const TensorView<const float, 4>&query = a.query, &key = a.key;
    const ExpectedBatch queries = batch_of(shape, a.cumulative_query_lengths), keys = batch_of(shape, a.cumulative_key_lengths);
    check_extent("query", query, 0, queries.extent, queries.meaning);
    check_extent("query", query, 1, shape.num_heads, "the number of query heads of the plan");
    if (a.cumulative_query_lengths.empty()) check_extent("query", query, 2, shape.query_length, "the query length of the plan");
    check_extent("query", query, 3, shape.head_dim, "the head dimension of the plan");
    if (!a.page_table.data) check_extent("key", key, 0, keys.extent, keys.meaning);
    check_extent("key", key, 1, shape.num_kv_heads, "the number of key/value heads of the plan");
    check_extent("key", key, 3, shape.head_dim, "the head dimension of the plan");
    if (key.extent[2] > kMaxLength)
        throw Error("key.extent[2] is " + std::to_string(key.extent[2]) + ": expected at most " + std::to_string(kMaxLength));
    check_unit_stride("query", query);
    check_unit_stride("key", key);
    return {checked_range("query", query), checked_range("key", key)};
}

MemoryRange check_value_and_out(const AttentionShape& shape, const AttentionArguments& a, const CheckedKeys& checked) {
    const TensorView<const float, 4>&query = a.query, &key = a.key, &value = a.value;
    const ExpectedBatch batch = batch_of(shape, a.cumulative_query_lengths);
    check_extent("value", value, 0, key.extent[0], a.page_table.data ? "the pages of key" : batch.meaning);
    check_extent("value", value, 1, shape.num_kv_heads, "the number of key/value heads of the plan");
    if (value.extent[2] != key.extent[2])
        throw Error("key.extent[2] is " + std::to_string(key.extent[2]) + ", value.extent[2] is " +
                    std::to_string(value.extent[2]) + ": the number of keys must match");
    check_extent("value", value, 3, shape.value_dim, "the value dimension of the plan");
    check_extent("out", a.out, 0, query.extent[0], batch.meaning);
    check_extent("out", a.out, 1, shape.num_heads, "the number of query heads of the plan");
    check_extent("out", a.out, 2, query.extent[2],
                 a.cumulative_query_lengths.empty() ? "the query length of the plan" : "the length of query");
    check_extent("out", a.out, 3, shape.value_dim, "the value dimension of the plan");
    check_unit_stride("value", value);
    check_unit_stride("out", a.out);
    const ElementRange value_range = checked_range("value", value), out_range = checked_range("out", a.out);
    if (!out_range.empty) check_no_self_overlap("out", a.out);
    check_no_overlap("out", a.out, out_range, "query", query, checked.query);
    check_no_overlap("out", a.out, out_range, "key", key, checked.key);
    check_no_overlap("out", a.out, out_range, "value", value, value_range);
    return memory_range(a.out, out_range);
}

}  // namespace headwise
