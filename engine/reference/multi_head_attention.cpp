#include <vector>

#include "engine/reference/checks.hpp"
#include "engine/reference/row.hpp"
#include "headwise/reference.hpp"

namespace headwise::reference {
namespace {

/// y = x weight^T + bias for each sequence: x [batch, length, in], weight [out, in], y [batch, length, out].
template <class T>
void linear(const TensorView<const T, 3>& x, const TensorView<const T, 2>& weight, const T* bias, const TensorView<T, 3>& y) {
    for (std::int64_t b = 0; b < x.extent[0]; ++b) {
        const TensorView<const T, 2> x_sequence(x.data + b * x.stride[0], {x.extent[1], x.extent[2]}, {x.stride[1], x.stride[2]});
        const TensorView<T, 2> y_sequence(y.data + b * y.stride[0], {y.extent[1], y.extent[2]}, {y.stride[1], y.stride[2]});
        matmul<T>(x_sequence, transposed(weight), y_sequence);  // <T>: without it, float would find the engine's matmul
        if (bias)
            for (std::int64_t i = 0; i < y.extent[1]; ++i)
                for (std::int64_t j = 0; j < y.extent[2]; ++j) row(y_sequence, i)[j] += bias[j];
    }
}

/// A projection [batch, length, heads * dim] and the space that it takes.
template <class T>
struct Projection {
    std::vector<T> data;
    TensorView<T, 3> view;

    Projection(std::int64_t batch, std::int64_t length, std::int64_t features)
        : data(static_cast<std::size_t>(batch * length * features)), view(data.data(), {batch, length, features}) {}

    /// The same memory as [batch, heads, length, dim].
    TensorView<T, 4> split(std::int64_t heads) const {
        return bshd(view.data, view.extent[0], view.extent[1], heads, view.extent[2] / heads);
    }
};

}  // namespace

template <class T>
void multi_head_attention(const TensorView<const T, 3>& x, const TensorView<const T, 3>& context, std::int64_t num_heads,
                          std::int64_t num_kv_heads, const MultiHeadWeights<T>& weights, const TensorView<T, 3>& out,
                          const AttentionOptions& options) {
    check_multi_head_attention(x, context, num_heads, num_kv_heads, weights, out);
    const std::int64_t batch = x.extent[0], length = x.extent[1], context_length = context.extent[1];

    Projection<T> query(batch, length, weights.query.extent[0]);
    Projection<T> key(batch, context_length, weights.key.extent[0]);
    Projection<T> value(batch, context_length, weights.value.extent[0]);
    linear(x, weights.query, weights.query_bias, query.view);
    linear(context, weights.key, weights.key_bias, key.view);
    linear(context, weights.value, weights.value_bias, value.view);

    // The heads' results lie side by side in a row: the concatenation is a matter of strides.
    Projection<T> heads(batch, length, weights.output.extent[1]);
    attention<T>(query.split(num_heads), key.split(num_kv_heads), value.split(num_kv_heads), heads.split(num_heads), options);
    linear<T>(heads.view, weights.output, weights.output_bias, out);
}

template void multi_head_attention(const TensorView<const float, 3>&, const TensorView<const float, 3>&, std::int64_t, std::int64_t,
                                   const MultiHeadWeights<float>&, const TensorView<float, 3>&, const AttentionOptions&);
template void multi_head_attention(const TensorView<const double, 3>&, const TensorView<const double, 3>&, std::int64_t,
                                   std::int64_t, const MultiHeadWeights<double>&, const TensorView<double, 3>&,
                                   const AttentionOptions&);

}  // namespace headwise::reference
