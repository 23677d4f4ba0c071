#include "headwise/multi_head_attention.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <string>

#include "engine/attention/call.hpp"
#include "engine/contract/check_shape.hpp"
#include "engine/layout/cache_line.hpp"
#include "engine/matmul/check.hpp"
#include "engine/matmul/product.hpp"
#include "engine/runtime/workspace_pool.hpp"
#include "engine/tensor/view_check.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

// ------------------------------------------------------------------------------------------------------------------- weights

void check_weight(const char* name, const TensorView<const float, 2>& weight, std::int64_t rows, const char* meaning) {
    if (!weight.data) throw Error(std::string(name) + ".data is null: expected " + std::to_string(rows) + " rows");
    check_extent(name, weight, 0, rows, meaning);
    if (weight.extent[1] < 1)
        throw Error(std::string(name) + ".extent[1] is " + std::to_string(weight.extent[1]) + ": expected at least one feature");
    check_unit_stride(name, weight);
    check_packable(name, weight);
}

/// What `shape` makes of the three projections; features of one token.
struct Features {
    std::int64_t query, key, value;  // of the projections
    std::int64_t heads;              // of the concatenated heads

    explicit Features(const MultiHeadAttentionShape& shape)
        : query(shape.num_heads * shape.head_dim),
          key(shape.num_kv_heads * shape.head_dim),
          value(shape.num_kv_heads * shape.value_dim),
          heads(shape.num_heads * shape.value_dim) {}
};

void check_weights(const Features& features, const MultiHeadAttentionWeights& weights) {
    if (weights.qkv.data) {
        if (weights.query.data || weights.key.data || weights.value.data)
            throw Error(
                "weights.qkv and one of weights.query, weights.key, weights.value are both given: expected either qkv or the other "
                "three");
        if (weights.query_bias || weights.key_bias || weights.value_bias)
            throw Error("weights.query_bias, key_bias or value_bias is given with weights.qkv: expected weights.qkv_bias");
        check_weight("weights.qkv", weights.qkv, features.query + features.key + features.value,
                     "num_heads * head_dim + num_kv_heads * (head_dim + value_dim)");
    } else {
        if (weights.qkv_bias) throw Error("weights.qkv_bias is given without weights.qkv");
        check_weight("weights.query", weights.query, features.query, "num_heads * head_dim");
        check_weight("weights.key", weights.key, features.key, "num_kv_heads * head_dim");
        check_weight("weights.value", weights.value, features.value, "num_kv_heads * value_dim");
        check_extent("weights.value", weights.value, 1, weights.key.extent[1], "weights.key.extent[1], the context dimension");
    }
    if (!weights.output.data) throw Error("weights.output.data is null: expected rows of num_heads * value_dim weights");
    check_weight("weights.output", weights.output, weights.output.extent[0], "the output dimension");
    check_extent("weights.output", weights.output, 1, features.heads, "num_heads * value_dim");
}

PackedMatrix packed(const TensorView<const float, 2>& weight, const AttentionOptions& options) {
    return PackedMatrix(transposed(weight), options.isa);
}

std::unique_ptr<float[]> copied(const float* bias, std::int64_t size) {
    if (!bias) return nullptr;
    auto copy = std::make_unique<float[]>(static_cast<std::size_t>(size));
    std::copy_n(bias, size, copy.get());
    return copy;
}

// -------------------------------------------------------------------------------------------------------------- intermediates

/// The distance of rows of `features` floats: full cache lines, an odd number of them, so that the rows of one head do not fall
/// into the same few sets of the caches (768 features would: 3072 bytes).
std::int64_t row_of(std::int64_t features) {
    return ((features + kCacheLineFloats - 1) / kCacheLineFloats | 1) * kCacheLineFloats;
}

std::int64_t checked_product(std::int64_t a, std::int64_t b) {
    std::int64_t product = 0;
    if (__builtin_mul_overflow(a, b, &product) || product > std::numeric_limits<std::int64_t>::max() / 64)
        throw Error("x.extent and context.extent: the projections of one sequence exceed 64 bits", ErrorKind::memory);
    return product;
}

/// Where a group of sequences keeps its projections and heads. Tokens are rows; what follows one token's features of one kind is
///   query rows    [query] or, with one packed weight, [query | key | value]
///   context rows  [key | value], in the query rows if these have them
///   heads rows    [heads concatenated]
struct Intermediates {
    std::int64_t query_row, context_row, heads_row;
    std::int64_t sequence;  ///< floats that one sequence takes

    Intermediates(const Features& features, bool together, std::int64_t length, std::int64_t context_length)
        : query_row(row_of(together ? features.query + features.key + features.value : features.query)),
          context_row(together ? query_row : row_of(features.key + features.value)),
          heads_row(row_of(features.heads)),
          sequence(checked_product(length, query_row + heads_row) + (together ? 0 : checked_product(context_length, context_row))) {
    }
};

/// Sequences worked on together: as many as keep what lies between the steps in the last cache, at least one.
std::int64_t group_size(const Intermediates& sizes, std::int64_t batch) {
    const auto bytes = static_cast<double>(sizes.sequence) * sizeof(float);
    return std::clamp(static_cast<std::int64_t>(static_cast<double>(cpu_info().caches.usable().l3) / 2 / bytes), std::int64_t{1},
                      batch);
}

TensorView<const float, 3> sequences(const TensorView<const float, 3>& x, std::int64_t first, std::int64_t count) {
    return {x.data + first * x.stride[0], {count, x.extent[1], x.extent[2]}, x.stride};
}

TensorView<float, 3> rows(float* data, std::int64_t count, std::int64_t length, std::int64_t features, std::int64_t row) {
    return {data, {count, length, features}, {length * row, row, 1}};
}

TensorView<float, 4> heads_of(float* data, std::int64_t count, std::int64_t heads, std::int64_t length, std::int64_t dim,
                              std::int64_t row) {
    return {data, {count, heads, length, dim}, {length * row, dim, row, 1}};
}

/// y = x weight + bias for each sequence.
void project(const TensorView<const float, 3>& x, const PackedMatrix& weight, const float* bias, const TensorView<float, 3>& y,
             int max_threads) {
    run_product({.kernels = weight.storage()->kernels,
                 .a = x,
                 .b = {},
                 .packed = weight.storage(),
                 .c = y,
                 .options = {.epilogue = {.bias = bias}, .max_threads = max_threads}});
}

}  // namespace

MultiHeadAttention::MultiHeadAttention(const MultiHeadAttentionShape& shape, const MultiHeadAttentionWeights& weights,
                                       const AttentionOptions& options)
    : shape_(shape), options_(options) {
    check_execution(options);
    shape_.value_dim = checked_shape({.num_heads = shape.num_heads,
                                      .num_kv_heads = shape.num_kv_heads,
                                      .head_dim = shape.head_dim,
                                      .value_dim = shape.value_dim},
                                     options)
                           .value_dim;
    if (!options_.isa) options_.isa = active_isa();  // of the packed weights, so of every step and for good
    const Features features(shape_);
    check_weights(features, weights);
    if (weights.qkv.data) {
        model_dim_ = context_dim_ = weights.qkv.extent[1];
        qkv_ = packed(weights.qkv, options_);
        qkv_bias_ = copied(weights.qkv_bias, weights.qkv.extent[0]);
    } else {
        model_dim_ = weights.query.extent[1];
        context_dim_ = weights.key.extent[1];
        query_ = packed(weights.query, options_);
        key_ = packed(weights.key, options_);
        value_ = packed(weights.value, options_);
        query_bias_ = copied(weights.query_bias, features.query);
        key_bias_ = copied(weights.key_bias, features.key);
        value_bias_ = copied(weights.value_bias, features.value);
    }
    out_dim_ = weights.output.extent[0];
    output_ = packed(weights.output, options_);
    output_bias_ = copied(weights.output_bias, out_dim_);
}

void MultiHeadAttention::check(const TensorView<const float, 3>& x, const TensorView<const float, 3>& context,
                               const TensorView<float, 3>& out) const {
    check_extent("x", x, 2, model_dim_, "the features of the query weight");
    check_extent("context", context, 0, x.extent[0], "x.extent[0], the batch");
    check_extent("context", context, 2, context_dim_, "the features of the key and value weights");
    check_extent("out", out, 0, x.extent[0], "x.extent[0], the batch");
    check_extent("out", out, 1, x.extent[1], "x.extent[1], the length");
    check_extent("out", out, 2, out_dim_, "the rows of the output weight");
    const CheckedView checked_x = checked_view("x", x), checked_context = checked_view("context", context),
                      checked_out = checked_view("out", out);
    check_unit_stride("x", x);
    check_unit_stride("context", context);
    check_unit_stride("out", out);
    check_no_self_overlap("out", out);
    check_apart(checked_out, checked_x);
    check_apart(checked_out, checked_context);
}

void MultiHeadAttention::forward(const TensorView<const float, 3>& x, const TensorView<float, 3>& out) const {
    run(x, x, out);
}

void MultiHeadAttention::forward(const TensorView<const float, 3>& x, const TensorView<const float, 3>& context,
                                 const TensorView<float, 3>& out) const {
    if (qkv_.storage())
        throw Error("context is given, but the layer has one packed weight for query, key and value: cross-attention takes three");
    run(x, context, out);
}

void MultiHeadAttention::run(const TensorView<const float, 3>& x, const TensorView<const float, 3>& context,
                             const TensorView<float, 3>& out) const {
    check(x, context, out);
    const std::int64_t batch = x.extent[0], length = x.extent[1], context_length = context.extent[1];
    if (batch == 0 || length == 0) return;
    const Intermediates sizes(Features(shape_), qkv_.storage() != nullptr, length, context_length);
    const std::int64_t group = group_size(sizes, batch);
    const runtime::PooledWorkspace workspace(static_cast<std::size_t>(checked_product(sizes.sequence, group)) * sizeof(float));
    for (std::int64_t first = 0; first < batch; first += group) {
        const std::int64_t count = std::min(group, batch - first);
        run_group(sequences(x, first, count), sequences(context, first, count),
                  {out.data + first * out.stride[0], {count, length, out_dim_}, out.stride},
                  reinterpret_cast<float*>(workspace.bytes().data()));
    }
}

void MultiHeadAttention::run_group(const TensorView<const float, 3>& x, const TensorView<const float, 3>& context,
                                   const TensorView<float, 3>& out, float* workspace) const {
    const bool together = qkv_.storage() != nullptr;
    const Features features(shape_);
    const std::int64_t count = x.extent[0], length = x.extent[1], context_length = context.extent[1];
    const Intermediates sizes(features, together, length, context_length);
    float* query = workspace;
    float* key = query + (together ? features.query : count * length * sizes.query_row);
    float* value = key + features.key;
    float* heads = query + count * length * sizes.query_row + (together ? 0 : count * context_length * sizes.context_row);

    const int threads = options_.max_threads;
    if (together) {
        project(x, qkv_, qkv_bias_.get(), rows(query, count, length, qkv_.columns(), sizes.query_row), threads);
    } else {
        project(x, query_, query_bias_.get(), rows(query, count, length, features.query, sizes.query_row), threads);
        project(context, key_, key_bias_.get(), rows(key, count, context_length, features.key, sizes.context_row), threads);
        project(context, value_, value_bias_.get(), rows(value, count, context_length, features.value, sizes.context_row), threads);
    }
    // The heads' results lie side by side in a row: the concatenation is a matter of strides.
    attention(heads_of(query, count, shape_.num_heads, length, shape_.head_dim, sizes.query_row),
              heads_of(key, count, shape_.num_kv_heads, context_length, shape_.head_dim, sizes.context_row),
              heads_of(value, count, shape_.num_kv_heads, context_length, shape_.value_dim, sizes.context_row),
              heads_of(heads, count, shape_.num_heads, length, shape_.value_dim, sizes.heads_row), options_);
    project(rows(heads, count, length, features.heads, sizes.heads_row), output_, output_bias_.get(), out, threads);
}

}  // namespace headwise
