#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "headwise/reference.hpp"
#include "headwise/rope.hpp"
#include "tests/reference/attention_inputs.hpp"

namespace headwise::test {
namespace {

constexpr AttentionShape kShape{
    .batch = 2, .num_heads = 4, .num_kv_heads = 2, .query_length = 5, .key_length = 7, .head_dim = 4, .value_dim = 3};

TEST_CASE_TEMPLATE("weights and the sink's share sum to 1 in each row, and give out", T, float, double) {
    const AttentionInputs<T> in(kShape);
    RandomNumbers random(test_seed() + 1);
    const PlainTensor<float> bias = random_tensor<float>({2, 4, 5, 7}, random);
    std::vector<std::uint8_t> mask;
    for (int n = 0; n < 5 * 7; ++n) mask.push_back(n < 7 || random.chance(0.3) ? 0 : 1);  // nothing for the first query
    const std::vector<float> slopes = {0.1f, 0.2f, 0.3f, 0.4f}, sinks = {1, 0, -1, 2};
    const RopeTable rope({.dims = 2}, 8);
    const AttentionOptions options{.causal = Causal::bottom_right, .window = {.left = 4}, .softcap = 5, .rope = &rope};
    AttentionArguments rules{.alibi_slopes = slopes, .bias = bias.view, .mask = {mask.data(), {1, 1, 5, 7}}};

    for (const bool sink : {false, true}) {
        if (sink) rules.sinks = sinks;
        AttentionResult<T> result(in, options, rules);
        PlainTensor<T> weights({2, 4, 5, 7});
        reference::attention_weights<T>(in.query.view, in.key.view, weights.view, options, rules);
        for_each_element({2, 4, 5, 1}, [&](auto b, auto h, auto i, auto) {
            std::vector<double> out(3);
            const T log_sum_exp = element(result.log_sum_exp_rows(), b, h, i, std::int64_t{0});
            double sum = sink ? std::exp(static_cast<double>(static_cast<T>(sinks[static_cast<std::size_t>(h)]) - log_sum_exp)) : 0;
            for (std::int64_t j = 0; j < 7; ++j) {
                const auto weight = static_cast<double>(element(weights.view, b, h, i, j));
                sum += weight;
                for (std::int64_t d = 0; d < 3; ++d)
                    out[static_cast<std::size_t>(d)] += weight * static_cast<double>(element(in.value.view, b, h / 2, j, d));
            }
            const bool empty = i == 0 && !sink;
            CHECK(std::abs(sum - (empty ? 0 : 1)) < 1e-6);
            for (std::int64_t d = 0; d < 3; ++d)
                CHECK(std::abs(static_cast<double>(element(result.out.view, b, h, i, d)) - out[static_cast<std::size_t>(d)]) <
                      2e-6);
            if (i == 0) CHECK(element(result.out.view, b, h, i, std::int64_t{0}) == 0);
        });
    }
}

TEST_CASE_TEMPLATE("weights have any strides, and are 0 beyond a sequence's keys", T, float, double) {
    const std::vector<T> query = {1, 1}, key = {0, 0};
    std::vector<T> weights(12, 9);
    const std::vector<std::int32_t> one = {1};
    reference::attention_weights<T>({query.data(), {1, 1, 2, 1}}, {key.data(), {1, 1, 2, 1}},
                                    {weights.data(), {1, 1, 2, 3}, {12, 12, 6, 2}}, {}, {.query_lengths = one, .key_lengths = one});
    CHECK(weights == std::vector<T>{1, 9, 0, 9, 0, 9, 0, 9, 0, 9, 0, 9});
}

TEST_CASE_TEMPLATE("mask bytes, mask bits and a bias of -Inf say the same, bit for bit", T, float, double) {
    const AttentionInputs<T> in(
        {.batch = 2, .num_heads = 2, .num_kv_heads = 2, .query_length = 4, .key_length = 19, .head_dim = 3, .value_dim = 2});
    RandomNumbers random(test_seed() + 2);
    std::vector<std::uint8_t> bytes, bits(2 * 2 * 4 * 3);
    std::vector<float> bias;
    for (std::size_t n = 0; n < 2 * 2 * 4 * 19; ++n) {
        bytes.push_back(random.chance(0.5) ? 1 : 0);
        bias.push_back(bytes[n] ? 0 : -std::numeric_limits<float>::infinity());
        const std::size_t j = n % 19;
        bits[n / 19 * 3 + j / 8] = static_cast<std::uint8_t>(bits[n / 19 * 3 + j / 8] | bytes[n] << (j % 8));
    }
    const AttentionResult<T> by_bytes(in, {}, {.mask = {bytes.data(), {2, 2, 4, 19}}});
    CHECK(by_bytes == AttentionResult<T>(in, {}, {.mask_bits = {bits.data(), {2, 2, 4, 3}}}));
    CHECK(by_bytes == AttentionResult<T>(in, {}, {.bias = {bias.data(), {2, 2, 4, 19}}}));
    CHECK_FALSE(by_bytes == AttentionResult<T>(in));
}

TEST_CASE_TEMPLATE("what a hidden key holds has no effect, whatever hides it", T, float, double) {
    // Key 4, the last one, is hidden from all three queries.
    constexpr float kInf = std::numeric_limits<float>::infinity();
    const std::vector<std::uint8_t> bytes = {1, 1, 1, 1, 0}, bits = {0b11101111}, blocks = {1, 1, 0};
    const std::vector<float> bias = {0, 0, 0, 0, -kInf};
    const std::vector<std::int32_t> four = {4};
    const auto function = [](auto score, std::int64_t, std::int64_t, std::int64_t, std::int64_t j) {
        return j == 4 ? -std::numeric_limits<decltype(score)>::infinity() : score;
    };
    struct Case {
        AttentionOptions options;
        AttentionArguments rules;
    };
    const Case cases[] = {{{.causal = Causal::top_left}, {}},
                          {{.alignment = Alignment::top_left, .window = {.right = 1}}, {}},
                          {{}, {.key_lengths = four}},
                          {{}, {.bias = {bias.data(), {1, 1, 1, 5}}}},
                          {{}, {.score_function = score_function(function)}},
                          {{}, {.mask = {bytes.data(), {1, 1, 1, 5}}}},
                          {{}, {.mask_bits = {bits.data(), {1, 1, 1, 1}}}},
                          {{}, {.block_mask = {{blocks.data(), {1, 1, 1, 3}}, 8, 2}}}};
    for (std::size_t n = 0; n < std::size(cases); ++n) {
        CAPTURE(n);
        AttentionInputs<T> in({.query_length = 3, .key_length = 5, .head_dim = 2, .value_dim = 2});
        const AttentionResult<T> before(in, cases[n].options, cases[n].rules);
        for (T* row : {in.key.data.data() + 4 * 2, in.value.data.data() + 4 * 2})
            row[0] = row[1] = std::numeric_limits<T>::quiet_NaN();
        CHECK(AttentionResult<T>(in, cases[n].options, cases[n].rules) == before);
        for (T* row : {in.key.data.data() + 4 * 2, in.value.data.data() + 4 * 2})
            row[0] = row[1] = std::numeric_limits<T>::infinity();
        CHECK(AttentionResult<T>(in, cases[n].options, cases[n].rules) == before);
    }
}

TEST_CASE_TEMPLATE("a sibling's NaN has no effect on a node of a tree", T, float, double) {
    AttentionInputs<T> in({.query_length = 3, .key_length = 4, .head_dim = 2, .value_dim = 2});
    const std::vector<std::int32_t> parents = {-1, 0, 0};
    const AttentionArguments rules{.tree_parents = {parents.data(), {1, 3}}};
    const AttentionResult<T> before(in, {}, rules);
    in.key.data[2 * 2] = in.value.data[2 * 2] = std::numeric_limits<T>::quiet_NaN();  // key 2 is node 1
    const AttentionResult<T> after(in, {}, rules);
    CHECK(after.out.data[0] == before.out.data[0]);
    CHECK(std::isnan(after.out.data[2]));
    CHECK(after.out.data[4] == before.out.data[4]);
    CHECK(after.log_sum_exp[2] == before.log_sum_exp[2]);
}

}  // namespace
}  // namespace headwise::test
