#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "headwise/reference.hpp"
#include "tests/reference/attention_inputs.hpp"

namespace headwise::test {
namespace {

using std::log;

template <class Function>
concept MakesScoreFunction = requires(Function&& function) { score_function(std::forward<Function>(function)); };
constexpr auto kSame = [](auto score, auto...) { return score; };
static_assert(MakesScoreFunction<decltype((kSame))>);
// A temporary would be gone before a call could use it.
static_assert(!MakesScoreFunction<decltype(kSame)> && !MakesScoreFunction<std::remove_const_t<decltype(kSame)>>);

TEST_CASE_TEMPLATE("softcap comes after the scale and bends logits by tanh", T, float, double) {
    // The key whose capped logit is ln 3: cap * tanh(key / cap) = ln 3.
    const double key = 2 * std::atanh(log(3.0) / 2);
    const OneRow<T> row(1, {0, static_cast<T>(key)}, {.softcap = 2});
    CHECK(close(row.weights, {0.25, 0.75}));
    CHECK(close(row.log_sum_exp, log(4.0)));
    const OneRow<T> scaled(2, {0, static_cast<T>(key)}, {.scale = 0.5f, .softcap = 2});
    CHECK(close(scaled.weights, {0.25, 0.75}));
    const OneRow<T> bounded(1, {0, 1e30f}, {.softcap = 2});  // tanh is 1
    CHECK(close(bounded.log_sum_exp, log(1 + std::exp(2.0))));
}

TEST_CASE_TEMPLATE("log_sum_exp is the log of the softmax's denominator, without overflow", T, float, double) {
    CHECK(close(OneRow<T>(1, {0, 0, 0, 0, 0}).log_sum_exp, log(5.0)));
    CHECK(close(OneRow<T>(1, {static_cast<T>(log(2.0)), static_cast<T>(log(5.0))}).log_sum_exp, log(7.0)));
    CHECK(close(OneRow<T>(1, {1000, 1000}).log_sum_exp, 1000 + log(2.0)));
    CHECK(close(OneRow<T>(1, {-1000, -1000}).log_sum_exp, -1000 + log(2.0)));
    CHECK(OneRow<T>(1, {}).log_sum_exp == -std::numeric_limits<T>::infinity());
}

TEST_CASE_TEMPLATE("keys that are seen but whose logits are all -Inf give NaN; keys that are not seen give 0", T, float, double) {
    constexpr T kInf = std::numeric_limits<T>::infinity();
    const OneRow<T> minus_infinite(1, {-kInf, -kInf});
    for (const T weight : minus_infinite.weights) CHECK(std::isnan(weight));
    CHECK(std::isnan(minus_infinite.log_sum_exp));

    const std::vector<std::uint8_t> hidden(2, 0);
    const OneRow<T> unseen(1, {-kInf, -kInf}, {}, {.mask = {hidden.data(), {1, 1, 1, 2}}});
    CHECK(unseen.weights == std::vector<T>{0, 0});
    CHECK(unseen.log_sum_exp == -kInf);

    const OneRow<T> one_of_two(1, {-kInf, 0});
    CHECK(one_of_two.weights == std::vector<T>{0, 1});
    CHECK(one_of_two.log_sum_exp == 0);
}

TEST_CASE_TEMPLATE("a sink takes part in the denominator and has no value", T, float, double) {
    const std::vector<float> ln3 = {static_cast<float>(log(3.0))}, high = {1000}, none = {-std::numeric_limits<float>::infinity()};
    const OneRow<T> row(1, {0}, {}, {.sinks = ln3});
    CHECK(std::abs(row.weights[0] - T(0.25)) < T(1e-7));
    CHECK(std::abs(row.log_sum_exp - static_cast<T>(log(4.0))) < T(2e-7));

    const OneRow<T> overwhelmed(1, {0, 0}, {}, {.sinks = high});
    CHECK(overwhelmed.weights == std::vector<T>{0, 0});
    CHECK(overwhelmed.log_sum_exp == 1000);

    const OneRow<T> alone(1, {}, {}, {.sinks = ln3});
    CHECK(alone.log_sum_exp == static_cast<T>(ln3[0]));

    const OneRow<T> without(1, {1, 2}), with_none(1, {1, 2}, {}, {.sinks = none});
    CHECK(with_none.weights == without.weights);
    CHECK(with_none.log_sum_exp == without.log_sum_exp);
}

TEST_CASE_TEMPLATE("each head has its sink; rows beyond query_lengths have none", T, float, double) {
    const AttentionInputs<T> in(
        {.num_heads = 2, .num_kv_heads = 1, .query_length = 2, .key_length = 0, .head_dim = 3, .value_dim = 2});
    const std::vector<float> sinks = {5, 7};
    const std::vector<std::int32_t> one = {1};
    constexpr T kInf = std::numeric_limits<T>::infinity();
    const AttentionResult<T> result(in, {}, {.query_lengths = one, .sinks = sinks});
    CHECK(result.log_sum_exp == std::vector<T>{5, -kInf, 7, -kInf});
    CHECK(result.out.data == std::vector<T>(8, 0));
}

TEST_CASE_TEMPLATE("ALiBi adds slope * (key position - query position)", T, float, double) {
    const std::vector<float> slopes = {std::log(2.0f), std::log(3.0f)};
    const std::vector<T> query(2, 1), key(3, 0);
    const auto run = [&](const AttentionOptions& options) {
        return AttentionResult<T>({query.data(), {1, 2, 1, 1}}, {key.data(), {1, 1, 3, 1}}, {key.data(), {1, 1, 3, 1}}, options,
                                  {.alibi_slopes = slopes});
    };
    const auto check_sums = [](const AttentionResult<T>& result, double first, double second) {
        CHECK(std::abs(std::exp(static_cast<double>(result.log_sum_exp[0])) - first) < 1e-5);
        CHECK(std::abs(std::exp(static_cast<double>(result.log_sum_exp[1])) - second) < 1e-5);
    };
    check_sums(run({}), 0.25 + 0.5 + 1, 1 / 9.0 + 1 / 3.0 + 1);                 // the query at 2
    check_sums(run({.alignment = Alignment::top_left}), 1 + 2 + 4, 1 + 3 + 9);  // at 0
    check_sums(run({.causal = Causal::top_left}), 1, 1);

    std::vector<T> weights(6);
    reference::attention_weights<T>({query.data(), {1, 2, 1, 1}}, {key.data(), {1, 1, 3, 1}}, {weights.data(), {1, 2, 1, 3}}, {},
                                    {.alibi_slopes = slopes});
    const double expected[] = {1 / 7.0, 2 / 7.0, 4 / 7.0, 1 / 13.0, 3 / 13.0, 9 / 13.0};
    for (std::size_t n = 0; n < 6; ++n) CHECK(std::abs(static_cast<double>(weights[n]) - expected[n]) < 1e-6);
}

TEST_CASE_TEMPLATE("a bias is added, repeated along what has extent 1", T, float, double) {
    const std::vector<float> ln = {0, std::log(3.0f), std::log(3.0f), 0, 0, 0, std::log(7.0f), 0};
    const std::vector<T> query(8, 0), key(4, 0);
    const auto run = [&](const std::array<std::int64_t, 4>& extent) {
        std::vector<T> weights(16);
        reference::attention_weights<T>({query.data(), {2, 2, 2, 1}}, {key.data(), {2, 1, 2, 1}}, {weights.data(), {2, 2, 2, 2}},
                                        {}, {.bias = {ln.data(), extent}});
        return weights;  // [batch, head, query, key]
    };
    const auto check = [](const std::vector<T>& weights, const std::vector<double>& expected) {
        for (std::size_t n = 0; n < weights.size(); ++n) {
            CAPTURE(n);
            CHECK(std::abs(static_cast<double>(weights[n]) - expected[n]) < 1e-6);
        }
    };
    const double q = 0.25, t = 0.75, e = 0.125, s = 0.875, m = 0.5;
    check(run({1, 1, 1, 2}), {q, t, q, t, q, t, q, t, q, t, q, t, q, t, q, t});
    check(run({1, 1, 2, 2}), {q, t, t, q, q, t, t, q, q, t, t, q, q, t, t, q});
    check(run({1, 2, 1, 2}), {q, t, q, t, t, q, t, q, q, t, q, t, t, q, t, q});
    check(run({2, 1, 1, 2}), {q, t, q, t, q, t, q, t, t, q, t, q, t, q, t, q});
    check(run({1, 2, 2, 2}), {q, t, t, q, m, m, s, e, q, t, t, q, m, m, s, e});
    check(run({2, 1, 2, 2}), {q, t, t, q, q, t, t, q, m, m, s, e, m, m, s, e});
}

TEST_CASE_TEMPLATE("each head has its scale", T, float, double) {
    const AttentionShape shape{
        .num_heads = 2, .num_kv_heads = 1, .query_length = 3, .key_length = 4, .head_dim = 5, .value_dim = 2};
    const AttentionInputs<T> in(shape);
    const std::vector<float> scales = {0.25f, -1.5f};
    AttentionResult<T> both(in, {.scale = 77.0f}, {.scales = scales});
    for (std::int64_t h = 0; h < 2; ++h) {
        const TensorView<const T, 4> head = parts(in.query.view, 1, h, 1);
        const AttentionResult<T> one(head, in.key.view, in.value.view, {.scale = scales[static_cast<std::size_t>(h)]});
        const auto rows = both.out.data.begin() + h * 6;
        CHECK(std::vector<T>(rows, rows + 6) == one.out.data);
    }
}

TEST_CASE_TEMPLATE("the caller's function gets the capped score, and bias comes after it", T, float, double) {
    const auto twice = [](auto score, std::int64_t, std::int64_t, std::int64_t, std::int64_t) { return 2 * score; };
    const double key = 2 * std::atanh(log(3.0) / 2);  // capped: ln 3; twice: ln 9; with the bias: ln 3
    const std::vector<float> bias = {0, -std::log(3.0f)};
    const OneRow<T> row(1, {0, static_cast<T>(key)}, {.softcap = 2},
                        {.bias = {bias.data(), {1, 1, 1, 2}}, .score_function = score_function(twice)});
    CHECK(std::abs(row.weights[0] - T(0.25)) < T(1e-6));
    CHECK(std::abs(row.weights[1] - T(0.75)) < T(1e-6));
}

TEST_CASE_TEMPLATE("a function of the indices does what a bias does, -Inf included", T, float, double) {
    const AttentionShape shape{
        .batch = 2, .num_heads = 4, .num_kv_heads = 2, .query_length = 3, .key_length = 5, .head_dim = 4, .value_dim = 3};
    const AttentionInputs<T> in(shape);
    const auto penalty = [](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) {
        const std::int64_t n = (b * 17 + h * 7 + i * 5 + j * 3) % 8;
        return n == 7 || (h == 1 && i == 2) ? -std::numeric_limits<float>::infinity() : static_cast<float>(n) / 4;
    };
    std::vector<float> bias;
    for_each_element({2, 4, 3, 5}, [&](auto... index) { bias.push_back(penalty(index...)); });
    const auto function = [&](auto score, auto... index) { return score + static_cast<decltype(score)>(penalty(index...)); };
    const AttentionResult<T> by_bias(in, {}, {.bias = {bias.data(), {2, 4, 3, 5}}});
    const AttentionResult<T> by_function(in, {}, {.score_function = score_function(function)});
    CHECK(by_function == by_bias);
    CHECK(by_function.log_sum_exp[1 * 3 + 2] == -std::numeric_limits<T>::infinity());
}

}  // namespace
}  // namespace headwise::test
