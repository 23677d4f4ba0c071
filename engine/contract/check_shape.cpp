#include "engine/contract/check_shape.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/tensor/number_text.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

constexpr float kMaxScale = 2e38f;

std::string size_text(const char* name, std::int64_t value) {
    return std::string(name) + " is " + std::to_string(value);
}

void check_between(const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
    if (value < low || value > high)
        throw Error(size_text(name, value) + ": expected " + std::to_string(low) + " to " + std::to_string(high));
}

void check_dim(const char* name, std::int64_t dim, std::int64_t most) {
    if (dim > most) throw Error(size_text(name, dim) + ": expected 1 to " + std::to_string(most), ErrorKind::unsupported);
    check_between(name, dim, 1, most);
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
    // Written so that NaN fails, too. With softcap, queries are scaled by 2 log2(e) scale / softcap. Computed in double: the
    // product overflows f32, and a caller may have trapped that.
    const double magnitude = std::abs(scale), most = kMaxScale;
    return magnitude <= most && (options.softcap == 0 || magnitude <= 0.5 * most * static_cast<double>(options.softcap));
}

void check_scale(const std::string& name, const AttentionOptions& options, float scale) {
    if (is_scale(options, scale)) return;
    throw Error(
        name + " is " + number_text(scale) + (options.softcap == 0 ? "" : ", options.softcap is " + number_text(options.softcap)) +
        ": expected a finite number of at most 2e38 in magnitude" + (options.softcap == 0 ? "" : ", divided by softcap 1e38"));
}

void check_shape(const AttentionShape& shape, const AttentionOptions& options, const ShapeNames& names, std::int64_t max_dim) {
    constexpr std::int64_t kMaxHeads = std::int64_t{1} << 24;
    check_between(names.batch, shape.batch, 0, kMaxLength);
    check_between(names.num_heads, shape.num_heads, 1, kMaxHeads);
    check_between(names.num_kv_heads, shape.num_kv_heads, 1, kMaxHeads);
    check_between(names.query_length, shape.query_length, 0, kMaxLength);
    check_between(names.key_length, shape.key_length, 0, kMaxLength);
    check_dim(names.head_dim, shape.head_dim, max_dim);
    check_dim(names.value_dim, shape.value_dim, max_dim);
    if (shape.num_heads % shape.num_kv_heads != 0)
        throw Error(size_text(names.num_heads, shape.num_heads) + ", " + size_text(names.num_kv_heads, shape.num_kv_heads) +
                    ": the former must be a multiple of the latter");
    std::int64_t rows = 0;
    if (__builtin_mul_overflow(std::max<std::int64_t>(shape.batch, 1), shape.num_heads, &rows) ||
        __builtin_mul_overflow(rows, std::max<std::int64_t>(shape.query_length, 1), &rows) ||
        __builtin_mul_overflow(rows, kMaxHeadDim * 64, &rows))
        throw Error(size_text(names.batch, shape.batch) + ", " + size_text(names.num_heads, shape.num_heads) + ", " +
                        size_text(names.query_length, shape.query_length) + ": their product exceeds 64 bits",
                    ErrorKind::memory);
    check_softcap(options);
    check_scale("options.scale", options, options.scale.value_or(1));
    check_window("options.window.left", options.window.left);
    check_window("options.window.right", options.window.right);
    if (options.alignment != Alignment::bottom_right && options.alignment != Alignment::top_left)
        throw Error("options.alignment is " + std::to_string(static_cast<int>(options.alignment)) + ": not a value of Alignment");
    if (options.rope && options.rope->options().dims > shape.head_dim)
        throw Error("options.rope rotates " + std::to_string(options.rope->options().dims) + " dims, " +
                    size_text(names.head_dim, shape.head_dim) + ": expected at most that many");
    if (options.causal != Causal::none && options.causal != Causal::top_left && options.causal != Causal::bottom_right)
        throw Error("options.causal is " + std::to_string(static_cast<int>(options.causal)) + ": not a value of Causal");
}

AttentionShape checked_shape(AttentionShape shape, const AttentionOptions& options) {
    if (shape.value_dim == 0) shape.value_dim = shape.head_dim;
    check_shape(shape, options, ShapeNames::of_shape());
    return shape;
}

}  // namespace headwise
