#pragma once

#include <cstdint>

#include "headwise/rope.hpp"
#include "headwise/tensor.hpp"

// What both kinds of cache do with the tokens they are given.
namespace headwise {

/// `count` tokens from `first` on of one batch entry (of a pool: of one page): [1, heads, count, dim].
template <class T>
TensorView<T, 4> tokens_of(const TensorView<T, 4>& tensor, std::int64_t entry, std::int64_t first, std::int64_t count) {
    return {tensor.data + entry * tensor.stride[0] + first * tensor.stride[2],
            {1, tensor.extent[1], count, tensor.extent[3]},
            tensor.stride};
}

/// to = from, of the same extents [1, heads, tokens, dim]; the last strides are 1.
void copy_tokens(const TensorView<const float, 4>& from, const TensorView<float, 4>& to) noexcept;

/// The same, turned for the positions from `position` on where there is a table.
void copy_keys(const TensorView<const float, 4>& from, const TensorView<float, 4>& to, const RopeTable* rope,
               std::int64_t position);

/// Throws Error where the table turns more than a key has.
void check_rope_dims(const RopeTable* rope, std::int64_t head_dim);

/// Throws Error where the table ends before the last of `tokens` positions from `position` on.
void check_rope_positions(const RopeTable* rope, std::int64_t position, std::int64_t tokens);

}  // namespace headwise
