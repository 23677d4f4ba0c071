#pragma once

#include <cstdint>

#include "headwise/attention.hpp"
#include "headwise/reference.hpp"
#include "headwise/tensor.hpp"

// What the reference functions require of their arguments. Each throws Error naming the argument, its value and the expected one.
// Unlike the engine's, the rows may have any stride and there is no largest dimension.
namespace headwise::reference {

template <class T>
void check_matmul(const TensorView<const T, 2>& a, const TensorView<const T, 2>& b, const TensorView<T, 2>& c);

template <class T>
void check_softmax(const TensorView<T, 2>& x);

template <class T>
void check_attention(const TensorView<const T, 4>& query, const TensorView<const T, 4>& key, const TensorView<const T, 4>& value,
                     const TensorView<T, 4>& out, const AttentionOptions& options);

template <class T>
void check_multi_head_attention(const TensorView<const T, 3>& x, const TensorView<const T, 3>& context, std::int64_t num_heads,
                                std::int64_t num_kv_heads, const MultiHeadWeights<T>& weights, const TensorView<T, 3>& out);

}  // namespace headwise::reference
