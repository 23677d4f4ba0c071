// Finite inputs raise no exception that a caller may have trapped: INVALID, OVERFLOW, DIVBYZERO. Attention itself with a bias,
// softcap and causal rules is in floating_point_test.cpp, with every variant and many keys in variants_floating_point_test.cpp;
// here is the rest of the API.
#include <doctest/doctest.h>

#include <cfenv>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/host/attention_inputs.hpp"

namespace headwise::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// What function() raises.
template <class Function>
int flags_of(const Function& function) {
    std::feclearexcept(FE_ALL_EXCEPT);
    function();
    return std::fetestexcept(FE_INVALID | FE_OVERFLOW | FE_DIVBYZERO);
}

/// One sequence of two heads, on the calling thread, whose flags are looked at.
struct Call {
    static constexpr std::int64_t kHeads = 2, kDim = 24;

    Call(std::int64_t queries, std::int64_t keys, float magnitude, const AttentionOptions& given = {})
        : query(random_floats(kHeads * queries * kDim, 1)),
          key(random_floats(kHeads * keys * kDim, 2)),
          value(random_floats(kHeads * keys * kDim, 3)),
          out(query.size()),
          sums(static_cast<std::size_t>(kHeads * queries)),
          options(given) {
        for (float& x : query) x *= magnitude;
        options.max_threads = 1;
        arguments = {.query = bhsd<const float>(query.data(), 1, kHeads, queries, kDim),
                     .key = bhsd<const float>(key.data(), 1, kHeads, keys, kDim),
                     .value = bhsd<const float>(value.data(), 1, kHeads, keys, kDim),
                     .out = bhsd<float>(out.data(), 1, kHeads, queries, kDim)};
        arguments.log_sum_exp = {sums.data(), {1, kHeads, queries}};
    }
    Call(const Call&) = delete;  // arguments point to its tensors
    Call& operator=(const Call&) = delete;

    int flags() const {
        return flags_of([&] { attention(arguments, options); });
    }

    std::vector<float> query, key, value, out, sums;
    AttentionOptions options;
    AttentionArguments arguments;
};

/// check(queries, keys, magnitude of the logits)
template <class Check>
void for_sizes(const Check& check) {
    for (const std::int64_t queries : {1, 3, 16, 100})
        for (const std::int64_t keys : {1, 100, 300})
            for (const float magnitude : {0.0f, 1.0f, 100.0f}) {
                CAPTURE(queries);
                CAPTURE(keys);
                CAPTURE(magnitude);
                check(queries, keys, magnitude);
            }
}

TEST_CASE("windows, also such as leave rows without a key") {
    for_sizes([](std::int64_t queries, std::int64_t keys, float magnitude) {
        for (const Window& window : {Window{0, 0}, Window{5, -1}, Window{-1, 0}, Window{20, 20}})
            for (const Alignment alignment : {Alignment::top_left, Alignment::bottom_right})
                CHECK(Call(queries, keys, magnitude, {.alignment = alignment, .window = window}).flags() == 0);
    });
}

TEST_CASE("sinks, -Inf for none among them") {
    for_sizes([](std::int64_t queries, std::int64_t keys, float magnitude) {
        for (const float sink : {-kInfinity, -1e30f, 0.0f, 50.0f, 1e30f})
            for (const Causal causal : {Causal::none, Causal::top_left, Causal::bottom_right}) {
                CAPTURE(sink);
                Call call(queries, keys, magnitude, {.causal = causal});
                const std::vector<float> sinks(Call::kHeads, sink);
                call.arguments.sinks = sinks;
                CHECK(call.flags() == 0);
            }
    });
}

/// What attention_weights() raises, with a log-sum-exp if the call names one.
int flags_of_weights(const Call& call, const AttentionArguments& arguments) {
    const std::int64_t queries = arguments.query.extent[2], keys = arguments.key.extent[2];
    const auto size = static_cast<std::size_t>(Call::kHeads * queries);
    std::vector<float> weights(size * static_cast<std::size_t>(keys)), top(size * 4),
        means(Call::kHeads * static_cast<std::size_t>(keys));
    std::vector<std::int32_t> top_keys(size * 4);
    const AttentionWeights results{.weights = {weights.data(), {1, Call::kHeads, queries, keys}},
                                   .top_weights = {top.data(), {1, Call::kHeads, queries, 4}},
                                   .top_keys = {top_keys.data(), {1, Call::kHeads, queries, 4}},
                                   .key_means = {means.data(), {1, Call::kHeads, keys}}};
    return flags_of([&] { attention_weights(arguments, call.options, {}, results); });
}

/// Attention, then its weights with and without the log-sum-exp. Of logits so large that its rounding shifts them, weights with it
/// are infinite.
void check_attention_and_weights(const Call& call, bool with_sum = true) {
    CHECK(call.flags() == 0);
    if (with_sum) CHECK(flags_of_weights(call, call.arguments) == 0);
    AttentionArguments without_sum = call.arguments;
    without_sum.log_sum_exp = {};
    CHECK(flags_of_weights(call, without_sum) == 0);
}

TEST_CASE("attention_weights, of rows without a key as well") {
    for_sizes([](std::int64_t queries, std::int64_t keys, float magnitude) {
        for (const Causal causal : {Causal::none, Causal::top_left, Causal::bottom_right}) {
            CAPTURE(static_cast<int>(causal));
            check_attention_and_weights(Call(queries, keys, magnitude, {.causal = causal}));
        }
    });
}

TEST_CASE("ALiBi of steep slopes, up and down") {
    for_sizes([](std::int64_t queries, std::int64_t keys, float magnitude) {
        for (const float slope : {-20.0f, -0.5f, 0.5f, 20.0f})
            for (const Alignment alignment : {Alignment::top_left, Alignment::bottom_right}) {
                CAPTURE(slope);
                CAPTURE(static_cast<int>(alignment));
                Call call(queries, keys, magnitude, {.alignment = alignment});
                const std::vector<float> slopes(Call::kHeads, slope);
                call.arguments.alibi_slopes = slopes;
                check_attention_and_weights(call);
            }
    });
}

TEST_CASE("biases of the lowest float and of -Inf, and rules of position that leave rows without a key") {
    for_sizes([](std::int64_t queries, std::int64_t keys, float magnitude) {
        for (const float low : {std::numeric_limits<float>::lowest(), -1.6e38f, -kInfinity})
            for (const Window& window : {Window{-1, -1}, Window{2, 2}, Window{70, 3}})
                for (const Alignment alignment : {Alignment::top_left, Alignment::bottom_right}) {
                    CAPTURE(low);
                    CAPTURE(window.left);
                    CAPTURE(static_cast<int>(alignment));
                    Call call(queries, keys, magnitude, {.alignment = alignment, .window = window});
                    const std::vector<float> bias(static_cast<std::size_t>(keys), low);
                    call.arguments.bias = {bias.data(), {1, 1, 1, keys}};
                    check_attention_and_weights(call);
                }
    });
}

TEST_CASE("a bias of -Inf on pairs whose logits are low by other rules") {
    for_sizes([](std::int64_t queries, std::int64_t keys, float magnitude) {
        std::vector<float> bias(static_cast<std::size_t>(keys), 0.0f);
        for (std::size_t j = 0; j < bias.size(); j += 2) bias[j] = -kInfinity;
        const auto lowest_score = [](auto score, std::int64_t, std::int64_t, std::int64_t, std::int64_t key) {
            return key % 2 == 0 ? decltype(score){std::numeric_limits<float>::lowest()} : score;
        };
        Call by_function(queries, keys, magnitude);
        by_function.arguments.bias = {bias.data(), {1, 1, 1, keys}};
        by_function.arguments.score_function = score_function(lowest_score);
        check_attention_and_weights(by_function);
        for (const float slope : {-2e35f, 2e35f}) {
            CAPTURE(slope);
            Call by_distance(queries, keys, magnitude);
            const std::vector<float> slopes(Call::kHeads, slope);
            by_distance.arguments.bias = {bias.data(), {1, 1, 1, keys}};
            by_distance.arguments.alibi_slopes = slopes;
            check_attention_and_weights(by_distance, false);
        }
    });
}

TEST_CASE("logits up to 1e37 from 0: the reference before the first key is no number of theirs") {
    for (const std::int64_t queries : {1, 3, 16, 100})
        for (const std::int64_t keys : {1, 30, 700, 5000})
            for (const float bias : {-1e37f, -1e34f, 1e30f, 2e31f, 1e34f, 1e37f}) {
                CAPTURE(queries);
                CAPTURE(keys);
                CAPTURE(bias);
                Call call(queries, keys, 1);
                const std::vector<float> biases(static_cast<std::size_t>(keys), bias);
                call.arguments.bias = {biases.data(), {1, 1, 1, keys}};
                check_attention_and_weights(call);
            }
}

TEST_CASE("merge_states, where one side or both have seen nothing as well") {
    constexpr std::int64_t kRows = 37, kDim = 24;
    const std::vector<float> a = random_floats(kRows * kDim, 1), b = random_floats(kRows * kDim, 2);
    std::vector<float> out(a.size()), sums(kRows);
    const float seen[] = {-kInfinity, -1e30f, -100.0f, 0.0f, 3.0f, 1e30f};
    for (const float sum_a : seen)
        for (const float sum_b : seen) {
            CAPTURE(sum_a);
            CAPTURE(sum_b);
            const std::vector<float> sums_a(kRows, sum_a), sums_b(kRows, sum_b);
            const auto state = [](const std::vector<float>& x, const std::vector<float>& s) {
                return AttentionState{bhsd<const float>(x.data(), 1, 1, kRows, kDim), {s.data(), {1, 1, kRows}}};
            };
            CHECK(flags_of([&] {
                      merge_states(state(a, sums_a), state(b, sums_b), bhsd<float>(out.data(), 1, 1, kRows, kDim),
                                   {sums.data(), {1, 1, kRows}});
                  }) == 0);
        }
}

TEST_CASE("tables of rotations and rotating") {
    for (const std::int64_t dim : {6, 64, 70})
        for (const RopePairs pairs : {RopePairs::half_split, RopePairs::interleaved}) {
            CAPTURE(dim);
            std::vector<float> x = random_floats(3 * 50 * dim, 1), out(x.size());
            CHECK(flags_of([&] {
                      const RopeTable table({.dims = dim - dim % 4, .pairs = pairs}, 60);
                      apply_rope(bhsd<const float>(x.data(), 1, 3, 50, dim), bhsd<float>(out.data(), 1, 3, 50, dim), table, {},
                                 -20);
                  }) == 0);
        }
}

TEST_CASE("products, with every activation") {
    constexpr Activation kActivations[] = {Activation::none, Activation::relu, Activation::gelu_erf, Activation::silu,
                                           Activation::gelu_tanh};
    for (const std::int64_t size : {1, 5, 17, 64, 130})
        for (const Activation activation : kActivations)
            for (const float magnitude : {0.0f, 1.0f, 1e4f, 1e20f}) {
                CAPTURE(size);
                CAPTURE(static_cast<int>(activation));
                CAPTURE(magnitude);
                std::vector<float> a = random_floats(size * size, 1), c(a.size(), std::numeric_limits<float>::quiet_NaN());
                const std::vector<float> b = random_floats(size * size, 2), bias = random_floats(size, 3);
                for (float& x : a) x *= magnitude;
                const MatmulOptions options{.epilogue = {.bias = bias.data(), .activation = activation}, .max_threads = 1};
                const TensorView<const float, 2> left(a.data(), {size, size}), right(b.data(), {size, size});
                const TensorView<float, 2> product(c.data(), {size, size});
                CHECK(flags_of([&] { matmul(left, right, product, options); }) == 0);
                CHECK(flags_of([&] { matmul(left, PackedMatrix(transposed(right)), product, options); }) == 0);
            }
}

TEST_CASE("the layer") {
    constexpr std::int64_t kModel = 40;
    const std::vector<float> weight = random_floats(kModel * kModel, 1);
    const TensorView<const float, 2> view(weight.data(), {kModel, kModel});
    for (const std::int64_t length : {1, 7, 90})
        for (const Causal causal : {Causal::none, Causal::bottom_right}) {
            CAPTURE(length);
            const std::vector<float> x = random_floats(2 * length * kModel, 2);
            std::vector<float> out(x.size());
            CHECK(flags_of([&] {
                      const MultiHeadAttention layer({.num_heads = 4, .num_kv_heads = 4, .head_dim = 10},
                                                     {.query = view, .key = view, .value = view, .output = view},
                                                     {.causal = causal, .max_threads = 1});
                      layer.forward({x.data(), {2, length, kModel}}, TensorView<float, 3>(out.data(), {2, length, kModel}));
                  }) == 0);
        }
}

}  // namespace
}  // namespace headwise::test
