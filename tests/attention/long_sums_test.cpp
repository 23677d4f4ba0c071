#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "headwise/headwise.hpp"

namespace headwise::test {
namespace {

// One key's logit is `peak` nats above all others, so each of those adds little to a sum that is already large. A single f32 chain
// over 131,073 keys was off by 1.1e-3. Values of 1 alone would not show all: the sums of weights and of weighted values round
// alike.
void check_constants(std::int64_t keys, std::int64_t rows, float peak, double most, double most_of_ones) {
    constexpr std::array kValues = {1.0f, 1.1f, 3.0f};
    const auto count = static_cast<std::size_t>(keys);
    constexpr auto kDim = static_cast<std::int64_t>(kValues.size());
    std::vector<float> query(static_cast<std::size_t>(rows), 1.0f), key(count, 0.0f), value, out(query.size() * kValues.size()),
        logs(query.size());
    key[0] = peak;
    value.reserve(count * kValues.size());
    for (std::size_t j = 0; j < count; ++j) value.insert(value.end(), kValues.begin(), kValues.end());
    AttentionArguments arguments{.query = bhsd<const float>(query.data(), 1, 1, rows, 1),
                                 .key = bhsd<const float>(key.data(), 1, 1, keys, 1),
                                 .value = bhsd<const float>(value.data(), 1, 1, keys, kDim),
                                 .out = bhsd<float>(out.data(), 1, 1, rows, kDim)};
    arguments.log_sum_exp = {logs.data(), {1, 1, rows}};
    attention(arguments, {.scale = 1.0f});
    INFO(keys << " keys, " << rows << " rows, peak " << peak);
    for (std::size_t d = 0; d < kValues.size(); ++d) {
        const auto x = static_cast<double>(kValues[d]);
        double error = 0;
        for (std::size_t i = d; i < out.size(); i += kValues.size())
            error = std::max(error, std::abs(static_cast<double>(out[i]) / x - 1));
        INFO("values of " << x);
        CHECK(error <= (x == 1 ? most_of_ones : most));
    }
    const double log_sum_exp = std::log(std::exp(static_cast<double>(peak)) + static_cast<double>(keys - 1));
    double log_error = 0;
    for (const float result : logs) log_error = std::max(log_error, std::abs(static_cast<double>(result) - log_sum_exp));
    CHECK(log_error <= most_of_ones + log_sum_exp * 0x1p-24);
}

TEST_CASE("the mean of equal values is that value, at any length, in prefill and in decode") {
    for (const std::int64_t keys : {97, 4096, 8192, 131'073, 1'000'001}) {
        for (const std::int64_t rows : {1, 4, 16, 64}) check_constants(keys, rows, 5, 2e-6, 1e-6);
    }
    check_constants(131'073, 2048, 5, 2e-6, 1e-6);  // so many rows that the keys are not cut into chunks
    check_constants(1'000'001, 2048, 5, 2e-6, 1e-6);
}

// Then a chain of 96 additions may round all of them down, or up.
TEST_CASE("so it is where each weight is about as much as rounding takes") {
    for (const std::int64_t keys : {513, 1537, 4097, 65'537})
        for (const std::int64_t rows : {1, 4, 16, 64})
            for (const float peak : {11.0f, 12.0f, 13.0f, 14.0f, 15.0f, 15.5f, 16.0f})
                check_constants(keys, rows, peak, 1e-5, 1e-5);
}

}  // namespace
}  // namespace headwise::test
