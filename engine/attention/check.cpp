#include "engine/attention/check.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/dispatch/isa.hpp"
#include "engine/tensor/view_check.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

constexpr std::int64_t kMaxDim = 512;
constexpr float kMaxScale = 2e38f;
constexpr std::int64_t kMaxLength = std::int64_t{1} << 40;  // far beyond memory, and sizes in 64 bits stay far from overflow

std::string size_text(const char* name, std::int64_t value) {
    return std::string(name) + " is " + std::to_string(value);
}

void check_between(const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
    if (value < low || value > high)
        throw Error(size_text(name, value) + ": expected " + std::to_string(low) + " to " + std::to_string(high));
}

}  // namespace

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
    // Times log2(e), as the kernels apply it, it must still be finite; the negation also catches NaN.
    if (options.scale && !(std::abs(*options.scale) <= kMaxScale))
        throw Error("options.scale is " + std::to_string(*options.scale) +
                    ": expected a finite number of at most 2e38 in magnitude");
    if (options.max_threads < 0)
        throw Error("options.max_threads is " + std::to_string(options.max_threads) + ": expected 0 (no limit) or more");
    if (options.causal != Causal::none && options.causal != Causal::top_left && options.causal != Causal::bottom_right)
        throw Error("options.causal is " + std::to_string(static_cast<int>(options.causal)) + ": not a value of Causal");
    if (options.isa) require_available(*options.isa, "options.isa");
}

AttentionShape checked_shape(AttentionShape shape, const AttentionOptions& options) {
    if (shape.value_dim == 0) shape.value_dim = shape.head_dim;
    check_shape(shape, options, ShapeNames::of_shape());
    return shape;
}

void check_views(const AttentionShape& shape, const TensorView<const float, 4>& query, const TensorView<const float, 4>& key,
                 const TensorView<const float, 4>& value, const TensorView<float, 4>& out) {
    check_extent("query", query, 0, shape.batch, "the batch of the plan");
    check_extent("query", query, 1, shape.num_heads, "the number of query heads of the plan");
    check_extent("query", query, 2, shape.query_length, "the query length of the plan");
    check_extent("query", query, 3, shape.head_dim, "the head dimension of the plan");
    check_extent("key", key, 0, shape.batch, "the batch of the plan");
    check_extent("key", key, 1, shape.num_kv_heads, "the number of key/value heads of the plan");
    check_extent("key", key, 3, shape.head_dim, "the head dimension of the plan");
    check_extent("value", value, 0, shape.batch, "the batch of the plan");
    check_extent("value", value, 1, shape.num_kv_heads, "the number of key/value heads of the plan");
    if (value.extent[2] != key.extent[2])
        throw Error("key.extent[2] is " + std::to_string(key.extent[2]) + ", value.extent[2] is " +
                    std::to_string(value.extent[2]) + ": the number of keys must match");
    if (key.extent[2] > kMaxLength)
        throw Error("key.extent[2] is " + std::to_string(key.extent[2]) + ": expected at most " + std::to_string(kMaxLength));
    check_extent("value", value, 3, shape.value_dim, "the value dimension of the plan");
    check_extent("out", out, 0, shape.batch, "the batch of the plan");
    check_extent("out", out, 1, shape.num_heads, "the number of query heads of the plan");
    check_extent("out", out, 2, shape.query_length, "the query length of the plan");
    check_extent("out", out, 3, shape.value_dim, "the value dimension of the plan");

    check_unit_stride("query", query);
    check_unit_stride("key", key);
    check_unit_stride("value", value);
    check_unit_stride("out", out);
    const ElementRange query_range = checked_range("query", query), key_range = checked_range("key", key);
    const ElementRange value_range = checked_range("value", value), out_range = checked_range("out", out);
    if (!out_range.empty) check_no_self_overlap("out", out);
    check_no_overlap("out", out, out_range, "query", query, query_range);
    check_no_overlap("out", out, out_range, "key", key, key_range);
    check_no_overlap("out", out, out_range, "value", value, value_range);
}

}  // namespace headwise
