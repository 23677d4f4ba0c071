// What attention_weights() promises of the sums of its results, which the log-sum-exp in f32 and chains of f32 additions would
// break.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "headwise/headwise.hpp"
#include "tests/support/random_numbers.hpp"

namespace headwise::test {
namespace {

std::vector<float> normal_numbers(RandomNumbers& random, std::int64_t count) {
    std::vector<float> result(static_cast<std::size_t>(count));
    for (float& x : result) x = random.normal();
    return result;
}

TEST_CASE("the weights of a row, with its sink's, sum to 1 within 1e-5 at any finite logits") {
    constexpr std::int64_t kHeads = 2, kQueries = 70, kKeys = 1000, kDim = 16;
    INFO(reproduction(test_seed()));
    RandomNumbers random(test_seed());
    const std::vector<float> query = normal_numbers(random, kHeads * kQueries * kDim),
                             key = normal_numbers(random, kHeads * kKeys * kDim);
    std::vector<float> weights(static_cast<std::size_t>(kHeads * kQueries * kKeys));
    const AttentionArguments arguments{.query = bhsd(query.data(), 1, kHeads, kQueries, kDim),
                                       .key = bhsd(key.data(), 1, kHeads, kKeys, kDim)};
    for (const float scale : {0.0f, 0.25f, 10.0f, 1e3f, 1e5f, 1e9f, 1e17f, 1e30f}) {
        CAPTURE(scale);
        attention_weights(arguments, {.scale = scale}, {}, {.weights = {weights.data(), {1, kHeads, kQueries, kKeys}}});
        double worst = 0;
        for (std::int64_t row = 0; row < kHeads * kQueries; ++row) {
            double sum = 0;
            for (std::int64_t j = 0; j < kKeys; ++j) sum += static_cast<double>(weights[static_cast<std::size_t>(row * kKeys + j)]);
            worst = std::max(worst, std::abs(sum - 1));
        }
        CHECK(worst <= 1e-5);
    }
}

TEST_CASE("so they do over a million keys, wherever the sum comes from") {
    // Many queries share the keys, so that they are in blocks of rows; one dimension, logits are the keys themselves.
    constexpr std::int64_t kKeys = 1'000'000, kQueries = 3;
    INFO(reproduction(test_seed()));
    RandomNumbers random(test_seed());
    const std::vector<float> query = {1.0f, 0.5f, 0.1f};
    std::vector<float> key(kKeys), weights(kQueries * kKeys);
    const AttentionArguments arguments{.query = bhsd(query.data(), 1, 1, kQueries, 1),
                                       .key = bhsd<const float>(key.data(), 1, 1, kKeys, 1)};
    const auto check = [&](const std::string& name, auto logit) {
        CAPTURE(name);
        for (std::size_t j = 0; j < key.size(); ++j) key[j] = static_cast<float>(logit(static_cast<double>(j)));
        attention_weights(arguments, {.scale = 1.0f}, {}, {.weights = {weights.data(), {1, 1, kQueries, kKeys}}});
        for (std::size_t i = 0; i < kQueries; ++i) {
            CAPTURE(i);
            double sum = 0;
            for (std::size_t j = 0; j < key.size(); ++j) sum += static_cast<double>(weights[i * key.size() + j]);
            CHECK(std::abs(sum - 1) <= 1e-5);
        }
    };
    check("all equal", [](double) { return 0.1; });
    check("one far above", [](double j) { return j == 5 ? 5.0 : 0.0; });
    check("the last one far above", [&](double j) { return j == kKeys - 1 ? 12.0 : 0.0; });
    check("rising", [](double j) { return j * 1e-5; });
    check("falling", [](double j) { return -j * 1e-5; });
    check("random", [&](double) { return static_cast<double>(random.normal()); });
}

TEST_CASE("a sink takes its share of the weights") {
    // Logits of 0 or `size` (half of the keys), and a sink at `size`: keys / 2 + 1 equal parts.
    constexpr std::int64_t kKeys = 200;
    for (const float size : {1.0f, 10.0f, 50.0f}) {
        CAPTURE(size);
        const float query = 1, sink = size;
        std::vector<float> key(kKeys), weights(kKeys);
        for (std::size_t j = 0; j < key.size(); j += 2) key[j] = size;
        AttentionArguments arguments{.query = bhsd(&query, 1, 1, 1, 1), .key = bhsd<const float>(key.data(), 1, 1, kKeys, 1)};
        arguments.sinks = {&sink, 1};
        attention_weights(arguments, {.scale = 1.0f}, {}, {.weights = {weights.data(), {1, 1, 1, kKeys}}});
        const double small = std::exp(-static_cast<double>(size)), share = 1 / (1 + 100 * (1 + small));
        double worst = 0;
        for (std::size_t j = 0; j < key.size(); ++j)
            worst = std::max(worst, std::abs(static_cast<double>(weights[j]) - (j % 2 == 0 ? share : share * small)));
        CHECK(worst <= 1e-5 * share);
    }
}

TEST_CASE("beside a large sink no weight is a denormal number: those below 2^-100 are 0") {
    // Key j's logit is -j / 4, so that its weight is e^(-j / 4 - sink) but for the weights of all keys beside the sink's.
    constexpr std::int64_t kKeys = 300;
    const float query = 1;
    std::vector<float> key(kKeys), weights(kKeys);
    for (std::size_t j = 0; j < key.size(); ++j) key[j] = -0.25f * static_cast<float>(j);
    AttentionArguments arguments{.query = bhsd(&query, 1, 1, 1, 1), .key = bhsd<const float>(key.data(), 1, 1, kKeys, 1)};
    for (const float sink : {0.0f, 30.0f, 60.0f, 69.0f, 70.0f, 85.0f, 90.0f, 100.0f, 110.0f, 1000.0f}) {
        CAPTURE(sink);
        arguments.sinks = {&sink, 1};
        attention_weights(arguments, {.scale = 1.0f}, {}, {.weights = {weights.data(), {1, 1, 1, kKeys}}});
        double total = std::exp(static_cast<double>(sink));
        for (const float logit : key) total += std::exp(static_cast<double>(logit));
        bool right = true;
        for (std::size_t j = 0; j < key.size(); ++j) {
            const double exact = std::exp(static_cast<double>(key[j])) / total, weight = static_cast<double>(weights[j]);
            const bool zero = weight == 0 && exact < 0x1p-98;  // the bound is a power of two near the sum of all
            right &= zero || (exact > 0x1p-102 && std::abs(weight - exact) <= 1e-5 * exact);
        }
        CHECK(right);
    }
}

TEST_CASE("any log-sum-exp may be given: far below the logits the weights are infinite, far above them 0") {
    constexpr std::int64_t kKeys = 70, kTop = 2;
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const float query = 1;
    const std::vector<float> key(kKeys, 0.0f);
    for (float sum : {-kInfinity, -3.4e38f, -1e30f, -1e6f, -1000.0f, -200.0f, -120.0f, -108.0f, -95.0f, -80.0f, -1.0f, 0.0f, 60.0f,
                      75.0f, 1e6f, 3.4e38f, kInfinity}) {
        CAPTURE(sum);
        std::vector<float> weights(kKeys), means(kKeys), top(kTop);
        std::vector<std::int32_t> top_keys(kTop);
        AttentionArguments arguments{.query = bhsd(&query, 1, 1, 1, 1), .key = bhsd<const float>(key.data(), 1, 1, kKeys, 1)};
        arguments.log_sum_exp = {&sum, {1, 1, 1}};
        attention_weights(arguments, {.scale = 1.0f}, {},
                          {.weights = {weights.data(), {1, 1, 1, kKeys}},
                           .top_weights = {top.data(), {1, 1, 1, kTop}},
                           .top_keys = {top_keys.data(), {1, 1, 1, kTop}},
                           .key_means = {means.data(), {1, 1, kKeys}}});
        const double exact = std::exp(-static_cast<double>(sum));
        const auto rounded = static_cast<float>(exact);
        bool right = true;
        for (const std::vector<float>* results : {&weights, &means, &top})
            for (const float weight : *results) {
                if (std::isinf(rounded))
                    right &= std::isinf(weight) && weight > 0;
                else if (exact < 0x1p-100)
                    right &= weight == 0;
                else
                    right &= std::abs(static_cast<double>(weight) - exact) <= 2e-5 * exact;
            }
        CHECK(right);
        CHECK(top_keys[0] == (exact < 0x1p-100 ? -1 : 0));
    }
}

TEST_CASE("means over many queries keep their digits") {
    constexpr std::int64_t kQueries = 200'000;
    std::vector<float> query(kQueries, 1.0f), means(3);
    const float key[] = {0.0f, 0.0f, 0.3f};
    const AttentionArguments arguments{.query = bhsd<const float>(query.data(), 1, 1, kQueries, 1),
                                       .key = bhsd<const float>(key, 1, 1, 3, 1)};
    attention_weights(arguments, {.scale = 1.0f}, {}, {.key_means = {means.data(), {1, 1, 3}}});
    const double large = std::exp(static_cast<double>(key[2])), sum = 2 + large;
    CHECK(std::abs(static_cast<double>(means[0]) * sum - 1) <= 1e-6);
    CHECK(std::abs(static_cast<double>(means[2]) * sum / large - 1) <= 1e-6);
}

}  // namespace
}  // namespace headwise::test
