#pragma once

#include "headwise/attention.hpp"
#include "headwise/tensor.hpp"

namespace headwise {

/// The shape with value_dim filled in. Throws Error on anything about sizes or options that attention cannot do.
AttentionShape checked_shape(AttentionShape shape, const AttentionOptions& options);

/// Throws Error where the views do not fit `shape` (key_length aside: it is key.extent[2]), or out overlaps an input or itself.
void check_views(const AttentionShape& shape, const TensorView<const float, 4>& query, const TensorView<const float, 4>& key,
                 const TensorView<const float, 4>& value, const TensorView<float, 4>& out);

}  // namespace headwise
