#pragma once

#include <cstdint>

#include "headwise/attention.hpp"
#include "headwise/export.hpp"
#include "headwise/matmul.hpp"
#include "headwise/tensor.hpp"

/// The textbook loops in f32 and f64, scalar, on one thread: what every test and tool compares with. Same views, meaning and errors
/// as the engine's functions of the same names. T is float or double: the type of storage and of every operation.
namespace headwise::reference {

/// c = alpha * a * b + beta * c. a [m, k], b [k, n], c [m, n], any strides. With alpha = 0 the contents of a and b do not matter,
/// with beta = 0 the contents of c.
template <class T>
HEADWISE_API void matmul(const TensorView<const T, 2>& a, const TensorView<const T, 2>& b, const TensorView<T, 2>& c, T alpha = 1,
                         T beta = 0);

/// Replaces each row of x [rows, columns] by exp(x - max) / sum, in place.
template <class T>
HEADWISE_API void softmax(const TensorView<T, 2>& x);

/// activation(x) as the engine's epilogue defines it.
template <class T>
HEADWISE_API T activate(Activation activation, T x);

/// query [B, Hq, Sq, D], key [B, Hkv, Skv, D], value [B, Hkv, Skv, Dv], out [B, Hq, Sq, Dv]. Keeps one row of weights in memory.
/// Without options.scale, the scale is 1/sqrt(D) in T. `rules` gives everything else; its query, key, value, out and log_sum_exp
/// are not used, because they are passed here in T. `log_sum_exp` [B, Hq, Sq] is optional.
template <class T>
HEADWISE_API void attention(const TensorView<const T, 4>& query, const TensorView<const T, 4>& key,
                            const TensorView<const T, 4>& value, const TensorView<T, 4>& out, const AttentionOptions& options = {},
                            const AttentionArguments& rules = {}, const TensorView<T, 3>& log_sum_exp = {});

/// weights [B, Hq, Sq, longest key length]: the weights that attention() multiplies values by; 0 for a key that is not seen.
/// rules.value and rules.out do not matter.
template <class T>
HEADWISE_API void attention_weights(const TensorView<const T, 4>& query, const TensorView<const T, 4>& key,
                                    const TensorView<T, 4>& weights, const AttentionOptions& options = {},
                                    const AttentionArguments& rules = {});

/// The multi-head layer; weights [out_features, in_features], biases may be null. x [B, S, E], context [B, C, Ec], out [B, S, Eo].
template <class T>
struct MultiHeadWeights {
    TensorView<const T, 2> query{}, key{}, value{}, output{};
    const T* query_bias = nullptr;
    const T* key_bias = nullptr;
    const T* value_bias = nullptr;
    const T* output_bias = nullptr;
};

template <class T>
HEADWISE_API void multi_head_attention(const TensorView<const T, 3>& x, const TensorView<const T, 3>& context,
                                       std::int64_t num_heads, std::int64_t num_kv_heads, const MultiHeadWeights<T>& weights,
                                       const TensorView<T, 3>& out, const AttentionOptions& options = {});

}  // namespace headwise::reference
