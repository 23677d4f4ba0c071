#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/tensor/view_check.hpp"
#include "headwise/attention.hpp"
#include "headwise/attention_arguments.hpp"
#include "headwise/reference.hpp"
#include "headwise/tensor.hpp"

// What the reference functions require of their arguments. Each throws Error naming the argument, its value and the expected one.
namespace headwise::reference {

void check_divides(const char* name, std::int64_t extent, const char* divisor_name, std::int64_t divisor);

template <class T>
void check_matmul(const TensorView<const T, 2>& a, const TensorView<const T, 2>& b, const TensorView<T, 2>& c);

template <class T>
void check_softmax(const TensorView<T, 2>& x);

template <class T>
void check_attention(const TensorView<const T, 4>& query, const TensorView<const T, 4>& key, const TensorView<const T, 4>& value,
                     const TensorView<T, 4>& out, const AttentionOptions& options, const AttentionArguments& rules,
                     const TensorView<T, 3>& log_sum_exp);

template <class T>
void check_attention_weights(const TensorView<const T, 4>& query, const TensorView<const T, 4>& key,
                             const TensorView<T, 4>& weights, const AttentionOptions& options, const AttentionArguments& rules);

template <class T>
void check_multi_head_attention(const TensorView<const T, 3>& x, const TensorView<const T, 3>& context, std::int64_t num_heads,
                                std::int64_t num_kv_heads, const MultiHeadWeights<T>& weights, const TensorView<T, 3>& out);

}  // namespace headwise::reference
