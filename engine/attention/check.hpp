#pragma once

#include "headwise/attention.hpp"
#include "headwise/tensor.hpp"

namespace headwise {

/// What the caller knows the sizes of a shape as.
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

/// Throws Error on anything about sizes or options that attention cannot do.
void check_shape(const AttentionShape& shape, const AttentionOptions& options, const ShapeNames& names);

/// The checked shape with value_dim filled in.
AttentionShape checked_shape(AttentionShape shape, const AttentionOptions& options);

/// Throws Error where the views do not fit `shape` (key_length aside: it is key.extent[2]), or out overlaps an input or itself.
void check_views(const AttentionShape& shape, const TensorView<const float, 4>& query, const TensorView<const float, 4>& key,
                 const TensorView<const float, 4>& value, const TensorView<float, 4>& out);

}  // namespace headwise
