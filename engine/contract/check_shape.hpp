#pragma once

#include <cstdint>
#include <string>

#include "headwise/attention.hpp"

namespace headwise {

/// The names by which the caller knows the sizes of a shape.
struct ShapeNames {
    const char *batch, *num_heads, *num_kv_heads, *query_length, *key_length, *head_dim, *value_dim;

    static constexpr ShapeNames of_shape() {
        return {"shape.batch",      "shape.num_heads", "shape.num_kv_heads", "shape.query_length",
                "shape.key_length", "shape.head_dim",  "shape.value_dim"};
    }
    static constexpr ShapeNames of_views() {
        return {"query.extent[0]", "query.extent[1]", "key.extent[1]",  "query.extent[2]",
                "key.extent[2]",   "query.extent[3]", "value.extent[3]"};
    }
};

/// Throws Error on sizes or options that attention does not support.
void check_shape(const AttentionShape& shape, const AttentionOptions& options, const ShapeNames& names,
                 std::int64_t max_dim = kMaxHeadDim);

/// Checks the shape and returns it with value_dim filled in.
AttentionShape checked_shape(AttentionShape shape, const AttentionOptions& options);

// Of queries and keys: far beyond any memory, while sizes in 64 bits stay far from overflow.
inline constexpr std::int64_t kMaxLength = std::int64_t{1} << 40;

/// Whether a scale is finite in the units in which kernels apply it.
bool is_scale(const AttentionOptions& options, float scale);

/// Throws Error unless is_scale().
void check_scale(const std::string& name, const AttentionOptions& options, float scale);

}  // namespace headwise
