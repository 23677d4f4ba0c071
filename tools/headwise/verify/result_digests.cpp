#include "verify/result_digests.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "headwise/attention_weights.hpp"
#include "headwise/merge_states.hpp"
#include "headwise/multi_head_attention.hpp"
#include "headwise/rope.hpp"
#include "measure/thread_team.hpp"
#include "verify/random_attention.hpp"
#include "verify/random_product.hpp"

namespace headwise::tools {
namespace {

/// Each tenth call is large enough for several threads.
bool is_large(std::uint64_t seed) {
    return seed % 10 == 0;
}

using FirstPositions = RandomAttention::FirstPositions;

template <FirstPositions kFirst>
void add_attention(std::uint64_t seed, Digest& digest) {
    const RandomAttention call(seed, 0, digested_call_cost(seed), kFirst);
    attention(call.arguments, call.options);
    digest.add(call.arguments.out);
    if (call.arguments.log_sum_exp.data) digest.add(call.arguments.log_sum_exp);
}

/// Of all rows, from two sweeps over the keys, or with the log-sum-exp of the call where that has one.
void add_weights(std::uint64_t seed, Digest& digest) {
    const RandomAttention call(seed, 0, digested_call_cost(seed), FirstPositions::none);
    if (call.arguments.log_sum_exp.data) attention(call.arguments, call.options);
    RandomNumbers random(seed);
    const std::int64_t batch = call.shape.batch, heads = call.shape.num_heads, queries = call.most_queries(),
                       keys = call.most_keys(), top = random.between(1, 20);
    std::vector<float> weights(static_cast<std::size_t>(batch * heads * queries * keys)),
        top_weights(static_cast<std::size_t>(batch * heads * queries * top)),
        key_means(static_cast<std::size_t>(batch * heads * keys));
    std::vector<std::int32_t> top_keys(top_weights.size());
    attention_weights(call.arguments, call.options, {},
                      {.weights = {weights.data(), {batch, heads, queries, keys}},
                       .top_weights = {top_weights.data(), {batch, heads, queries, top}},
                       .top_keys = {top_keys.data(), {batch, heads, queries, top}},
                       .key_means = {key_means.data(), {batch, heads, keys}}});
    for (const std::vector<float>* results : {&weights, &top_weights, &key_means}) digest.add(std::span<const float>(*results));
    digest.add(std::span<const std::int32_t>(top_keys));
}

/// Of sides that are up to 200 nats apart, or have seen no key.
void add_merge(std::uint64_t seed, Digest& digest) {
    RandomNumbers random(seed);
    const std::int64_t batch = random.between(1, 3), heads = random.between(1, 4),
                       rows = random.between(1, is_large(seed) ? 2000 : 40), dim = random.between(1, 80);
    struct Side {
        std::vector<float> out, log_sum_exp;
    };
    const auto side = [&] {
        Side made{random_values(batch * heads * rows * dim, random), random_values(batch * heads * rows, random)};
        const float apart = random.one_of({1.0f, 10.0f, 60.0f});
        for (float& x : made.log_sum_exp) x = random.chance(0.05) ? -std::numeric_limits<float>::infinity() : apart * x;
        return made;
    };
    const Side a = side(), b = side();
    Side merged{std::vector<float>(a.out.size()), std::vector<float>(a.log_sum_exp.size())};
    const std::array<std::int64_t, 4> extents{batch, heads, rows, dim};
    const std::array<std::int64_t, 3> sums{batch, heads, rows};
    merge_states({{a.out.data(), extents}, {a.log_sum_exp.data(), sums}}, {{b.out.data(), extents}, {b.log_sum_exp.data(), sums}},
                 {merged.out.data(), extents}, {merged.log_sum_exp.data(), sums});
    digest.add(std::span<const float>(merged.out));
    digest.add(std::span<const float>(merged.log_sum_exp));
}

void add_rope(std::uint64_t seed, Digest& digest) {
    RandomNumbers random(seed);
    const std::int64_t pairs = random.between(1, 80), batch = random.between(1, 3), heads = random.between(1, 4),
                       tokens = random.between(1, is_large(seed) ? 2000 : 40), dim = 2 * pairs + random.between(0, 9);
    std::int64_t angles = tokens + random.one_of({std::int64_t{10}, std::int64_t{5000}});
    if (random.chance(0.02)) angles = std::int64_t{1} << 31;  // takes 32 MiB
    const RopeTable table({.dims = 2 * pairs,
                           .base = random.one_of({10000.0, 500000.0, 100.0}),
                           .pairs = random.chance(0.5) ? RopePairs::interleaved : RopePairs::half_split},
                          angles);
    const std::vector<float> x = random_values(batch * heads * tokens * dim, random);
    std::vector<float> out(x.size());
    std::vector<std::int32_t> positions;
    if (random.chance(0.5))
        for (std::int64_t i = 0; i < batch * tokens; ++i)
            positions.push_back(static_cast<std::int32_t>(random.between(1 - angles, angles - 1)));
    const std::array<std::int64_t, 4> extents{batch, heads, tokens, dim};
    const TensorView<const std::int32_t, 2> given{positions.empty() ? nullptr : positions.data(), {batch, tokens}};
    apply_rope({x.data(), extents}, {out.data(), extents}, table, given,
               positions.empty() ? random.between(0, angles - tokens) : 0);
    digest.add(std::span<const float>(out));
}

void add_matmul(std::uint64_t seed, Digest& digest) {
    RandomNumbers random(seed);
    RandomProduct product(random);
    if (random.chance(0.02)) product.k = random.between(1000, 4000);
    const std::vector<float> a = random_values(product.m * product.k, random), b = random_values(product.k * product.n, random),
                             bias = random_values(product.n, random), residual = random_values(product.m * product.n, random);
    std::vector<float> c = random_values(product.m * product.n, random);
    MatmulOptions options;
    if (random.chance(0.3)) options.alpha = random.normal();
    if (random.chance(0.3)) options.beta = random.normal();
    if (random.chance(0.3)) options.epilogue.bias = bias.data();
    options.epilogue.activation =
        random.one_of({Activation::none, Activation::relu, Activation::silu, Activation::gelu_erf, Activation::gelu_tanh});
    if (random.chance(0.3)) options.epilogue.residual = {residual.data(), {product.m, product.n}};
    product.run(product.a(a), product.b(b), c, options);
    digest.add(std::span<const float>(c));
}

void add_layer(std::uint64_t seed, Digest& digest) {
    RandomNumbers random(seed);
    const std::int64_t kv_heads = random.between(1, 3), heads = kv_heads * random.between(1, 3), head_dim = random.between(1, 40),
                       value_dim = random.chance(0.7) ? head_dim : random.between(1, 40), model = random.between(1, 100),
                       out_dim = random.chance(0.7) ? model : random.between(1, 100), batch = random.between(1, 3),
                       tokens = random.between(1, is_large(seed) ? 300 : 40);
    const bool cross = random.chance(0.3), together = !cross && random.chance(0.5), biased = random.chance(0.5);
    const std::int64_t context_dim = cross ? random.between(1, 100) : model, context_tokens = random.between(1, 60);
    const std::int64_t query_rows = heads * head_dim, key_rows = kv_heads * head_dim, value_rows = kv_heads * value_dim;
    const auto weight = [&](std::int64_t rows, std::int64_t columns) { return random_values(rows * columns, random); };
    const std::vector<float> query = weight(query_rows, model), key = weight(key_rows, context_dim),
                             value = weight(value_rows, context_dim), qkv = weight(query_rows + key_rows + value_rows, model),
                             output = weight(out_dim, heads * value_dim),
                             bias = weight(1, std::max(query_rows + key_rows + value_rows, out_dim)),
                             x = weight(batch * tokens, model), context = weight(batch * context_tokens, context_dim);
    MultiHeadAttentionWeights weights{.output = {output.data(), {out_dim, heads * value_dim}}};
    const float* given_bias = biased ? bias.data() : nullptr;
    weights.output_bias = given_bias;
    if (together) {
        weights.qkv = {qkv.data(), {query_rows + key_rows + value_rows, model}};
        weights.qkv_bias = given_bias;
    } else {
        weights.query = {query.data(), {query_rows, model}};
        weights.key = {key.data(), {key_rows, context_dim}};
        weights.value = {value.data(), {value_rows, context_dim}};
        weights.query_bias = weights.key_bias = weights.value_bias = given_bias;
    }
    const MultiHeadAttention layer({.num_heads = heads, .num_kv_heads = kv_heads, .head_dim = head_dim, .value_dim = value_dim},
                                   weights, {.causal = random.one_of({Causal::none, Causal::top_left, Causal::bottom_right})});
    std::vector<float> out(static_cast<std::size_t>(batch * tokens * out_dim));
    const TensorView<const float, 3> x_view(x.data(), {batch, tokens, model});
    const TensorView<float, 3> out_view(out.data(), {batch, tokens, out_dim});
    if (cross)
        layer.forward(x_view, {context.data(), {batch, context_tokens, context_dim}}, out_view);
    else
        layer.forward(x_view, out_view);
    digest.add(std::span<const float>(out));
}

constexpr DigestedOperation kOperations[] = {{"attention", add_attention<FirstPositions::none>},
                                             {"weights", add_weights},
                                             {"merge", add_merge},
                                             {"rope", add_rope},
                                             {"matmul", add_matmul},
                                             {"layer", add_layer},
                                             {"positions", add_attention<FirstPositions::always>}};

}  // namespace

double digested_call_cost(std::uint64_t seed) {
    return is_large(seed) ? 1e7 : 3e5;
}

std::span<const DigestedOperation> digested_operations() {
    return kOperations;
}

Digest result_digest(const DigestedOperation& operation, std::uint64_t first_seed, std::int64_t count, ThreadTeam& team,
                     const std::function<void(std::int64_t)>& progress) {
    Digest digest;
    for (std::int64_t i = 0; i < count; ++i) {
        progress(i);
        team.run([&] { operation.add(first_seed + static_cast<std::uint64_t>(i), digest); });
    }
    return digest;
}

}  // namespace headwise::tools
