#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "headwise/headwise.hpp"

namespace headwise::test {
namespace {

constexpr std::int64_t kKeys = 300, kDim = 5;
constexpr float kSinks[] = {0, 30, 60, 69, 70, 85, 90, 100, 110, 1000, 1e30f};

/// Rows whose logits are 0, and values of 1 + key / kKeys + d, beside a sink.
struct Rows {
    explicit Rows(std::int64_t rows)
        : query(static_cast<std::size_t>(rows), 0.0f), key(kKeys, 1.0f), out(query.size() * kDim), sums(query.size()) {
        for (std::int64_t j = 0; j < kKeys; ++j)
            for (std::int64_t d = 0; d < kDim; ++d) value.push_back(1 + static_cast<float>(j) / kKeys + static_cast<float>(d));
    }

    void attend(float sink) {
        const auto rows = static_cast<std::int64_t>(query.size());
        AttentionArguments arguments{.query = bhsd<const float>(query.data(), 1, 1, rows, 1),
                                     .key = bhsd<const float>(key.data(), 1, 1, kKeys, 1),
                                     .value = bhsd<const float>(value.data(), 1, 1, kKeys, kDim),
                                     .out = bhsd<float>(out.data(), 1, 1, rows, kDim)};
        arguments.log_sum_exp = {sums.data(), {1, 1, rows}};
        arguments.sinks = {&sink, 1};
        attention(arguments);
    }

    std::vector<float> query, key, value, out, sums;
};

TEST_CASE("beside a large sink no result is a denormal number: where the keys together weigh below 2^-100, it is 0") {
    for (const std::int64_t count : {1, 6, 70}) {
        Rows rows(count);
        for (const float sink : kSinks) {
            INFO(count << " rows, sink " << sink);
            rows.attend(sink);
            const double all = kKeys / (kKeys + std::exp(static_cast<double>(sink)));  // the weight of all keys
            const bool cut = all < 0x1p-100;
            bool right = true;
            for (std::size_t i = 0; i < rows.out.size(); ++i) {
                const double mean = 1 + (kKeys - 1) / (2.0 * kKeys) + static_cast<double>(i % kDim), exact = mean * all;
                const auto out = static_cast<double>(rows.out[i]);
                right &= cut ? out == 0 : std::abs(out - exact) <= 1e-5 * exact;
            }
            CHECK(right);
            const double log_sum_exp = std::log(std::exp(-static_cast<double>(sink)) * kKeys + 1) + static_cast<double>(sink);
            for (const float sum : rows.sums) CHECK(std::abs(static_cast<double>(sum) - log_sum_exp) <= 1e-6 * (1 + log_sum_exp));
        }
    }
}

TEST_CASE("a NaN among the values shows, however far a sink is above all keys; other columns are untouched") {
    for (const std::int64_t count : {1, 6, 70}) {
        Rows clean(count), spoilt(count);
        spoilt.value[17 * kDim + 2] = std::numeric_limits<float>::quiet_NaN();
        for (const float sink : kSinks) {
            INFO(count << " rows, sink " << sink);
            clean.attend(sink);
            spoilt.attend(sink);
            bool nan = true, same = true;
            for (std::size_t i = 0; i < spoilt.out.size(); ++i) {
                if (i % kDim == 2)
                    nan &= std::isnan(spoilt.out[i]);
                else
                    same &= spoilt.out[i] == clean.out[i];
            }
            CHECK(nan);
            CHECK(same);
        }
    }
}

TEST_CASE("where all logits are -Inf a finite sink has all the weight, the lowest float too") {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    for (const std::int64_t count : {1, 6, 70})
        for (const float sink : {std::numeric_limits<float>::lowest(), -2.4e38f, -1.0f, 0.0f, 1e30f}) {
            INFO(count << " rows, sink " << sink);
            Rows rows(count);
            rows.query.assign(rows.query.size(), 1.0f);
            rows.key.assign(rows.key.size(), -kInfinity);
            rows.attend(sink);
            bool zero = true, same = true;
            for (const float x : rows.out) zero &= x == 0;
            for (const float sum : rows.sums) same &= std::abs(sum - sink) <= 1e-6f * std::abs(sink);
            CHECK(zero);
            CHECK(same);
        }
}

TEST_CASE("the weights of a row are cut together: many small ones beside a sink count for what they come to") {
    // The last key's logit is 5.5, which does not raise the reference that the first ones set.
    for (const std::int64_t count : {1, 6, 70}) {
        Rows rows(count);
        rows.query.assign(rows.query.size(), 1.0f);
        rows.key.assign(rows.key.size(), 0.0f);
        rows.key.back() = 5.5f;
        for (const float sink : {60.0f, 70.0f, 74.0f, 76.0f, 80.0f}) {
            INFO(count << " rows, sink " << sink);
            rows.attend(sink);
            const double peak = std::exp(5.5), sum = kKeys - 1 + peak, weight = 1 / (sum + std::exp(static_cast<double>(sink)));
            bool right = true;
            for (std::size_t i = 0; i < rows.out.size(); ++i) {
                double exact = 0;
                for (std::size_t j = 0; j < kKeys; ++j)
                    exact += static_cast<double>(rows.value[j * kDim + i % kDim]) * (j + 1 < kKeys ? 1 : peak) * weight;
                const auto out = static_cast<double>(rows.out[i]);
                right &= sum * weight < 0x1p-100 ? out == 0 : std::abs(out - exact) <= 1e-5 * exact;
            }
            CHECK(right);
        }
    }
}

}  // namespace
}  // namespace headwise::test
