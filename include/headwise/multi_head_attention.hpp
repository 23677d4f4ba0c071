#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "headwise/attention.hpp"
#include "headwise/export.hpp"
#include "headwise/matmul.hpp"
#include "headwise/tensor.hpp"

namespace headwise {

/// The weights of the layer as PyTorch's nn.Linear stores them: weight [out_features, in_features], y = x weight^T + bias. A view
/// that the layer does not need has data == nullptr. Only the constructor of MultiHeadAttention reads them; it packs them.
struct MultiHeadAttentionWeights {
    TensorView<const float, 2> query{};   ///< [num_heads * head_dim, model_dim]
    TensorView<const float, 2> key{};     ///< [num_kv_heads * head_dim, context_dim]
    TensorView<const float, 2> value{};   ///< [num_kv_heads * value_dim, context_dim]
    TensorView<const float, 2> qkv{};     ///< instead of query, key and value: their rows stacked (self-attention only)
    TensorView<const float, 2> output{};  ///< [out_dim, num_heads * value_dim]
    const float* query_bias = nullptr;    ///< [num_heads * head_dim]; null: none
    const float* key_bias = nullptr;
    const float* value_bias = nullptr;
    const float* qkv_bias = nullptr;  ///< with qkv
    const float* output_bias = nullptr;
};

struct MultiHeadAttentionShape {
    std::int64_t num_heads = 1;
    std::int64_t num_kv_heads = 1;
    std::int64_t head_dim = 0;
    std::int64_t value_dim = 0;  ///< 0 means head_dim
};

/// The multi-head attention layer: projections of query, key and value, attention of all heads in parallel, concatenation and
/// output projection.
///
/// Works on as many sequences at a time as the last-level cache can hold, at least one. Their intermediate results (query, key,
/// value and heads of each token) are in a buffer from the library's pool. The pool keeps buffers of up to 128 MiB (11,000 tokens
/// of 768 features); for a longer sequence, each call maps memory anew.
///
/// The same bits for any thread count and any batch. Immutable after construction: any number of threads may call forward() at
/// once. forward() throws Error before anything is written.
class MultiHeadAttention {
  public:
    /// Packs the weights for options.isa, by default for the current active_isa(), and keeps that ISA. Throws Error.
    HEADWISE_API MultiHeadAttention(const MultiHeadAttentionShape& shape, const MultiHeadAttentionWeights& weights,
                                    const AttentionOptions& options = {});

    /// Self-attention: x [batch, length, model_dim] -> out [batch, length, out_dim]. The last stride is 1; out must not overlap
    /// anything.
    HEADWISE_API void forward(const TensorView<const float, 3>& x, const TensorView<float, 3>& out) const;

    /// Cross-attention: queries from x [batch, length, model_dim], keys and values from context [batch, context_length,
    /// context_dim]. Not for a layer with weights.qkv.
    HEADWISE_API void forward(const TensorView<const float, 3>& x, const TensorView<const float, 3>& context,
                              const TensorView<float, 3>& out) const;

  private:
    void check(const TensorView<const float, 3>& x, const TensorView<const float, 3>& context,
               const TensorView<float, 3>& out) const;
    void run(const TensorView<const float, 3>& x, const TensorView<const float, 3>& context, const TensorView<float, 3>& out) const;
    void run_group(const TensorView<const float, 3>& x, const TensorView<const float, 3>& context, const TensorView<float, 3>& out,
                   float* workspace) const;

    MultiHeadAttentionShape shape_;
    AttentionOptions options_;
    std::int64_t model_dim_ = 0, context_dim_ = 0, out_dim_ = 0;
    PackedMatrix query_, key_, value_, qkv_, output_;  // either qkv_ or the three are filled
    // Biases, copied: null where the layer has none.
    std::unique_ptr<float[]> query_bias_, key_bias_, value_bias_, qkv_bias_, output_bias_;
};

}  // namespace headwise
