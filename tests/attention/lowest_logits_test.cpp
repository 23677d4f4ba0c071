// Masks made of the lowest number instead of -Inf: it is a number, and takes a key away only where the row sees larger logits.
// And the other end of the range, where logits become infinite.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "headwise/headwise.hpp"
#include "tests/support/random_numbers.hpp"

namespace headwise::test {
namespace {

constexpr float kLowest = std::numeric_limits<float>::lowest(), kInf = std::numeric_limits<float>::infinity();
constexpr std::int64_t kKeys = 150, kDim = 8;

/// What each key's logit is to be, by a bias or by a score function.
using LogitOf = float (*)(std::int64_t key);

struct Lowest {
    explicit Lowest(std::int64_t queries)
        : queries_(queries), query_(normal(queries * kDim)), key_(normal(kKeys * kDim)), value_(normal(kKeys * kDim)) {}

    /// Logits other than 0 take the place of <query, key>, or are added to it.
    std::vector<float> by_function(LogitOf logit_of) const {
        const auto function = [logit_of](auto score, std::int64_t, std::int64_t, std::int64_t, std::int64_t key) {
            const float logit = logit_of(key);
            return logit == 0 ? score : static_cast<decltype(score)>(logit);
        };
        AttentionArguments arguments;
        arguments.score_function = score_function(function);
        return run(arguments);
    }
    std::vector<float> by_bias(LogitOf logit_of) const {
        std::vector<float> bias(kKeys);
        for (std::int64_t j = 0; j < kKeys; ++j) bias[static_cast<std::size_t>(j)] = logit_of(j);
        AttentionArguments arguments;
        arguments.bias = TensorView<const float, 4>(bias.data(), {1, 1, 1, kKeys});
        return run(arguments);
    }

    /// The mean of the values of some keys, as each element of `out` is to be.
    bool is_mean(const std::vector<float>& out, bool (*takes_part)(std::int64_t key)) const {
        bool is = true;
        for (std::int64_t d = 0; d < kDim; ++d) {
            double sum = 0;
            int count = 0;
            for (std::int64_t j = 0; j < kKeys; ++j)
                if (takes_part(j)) sum += static_cast<double>(value_[static_cast<std::size_t>(j * kDim + d)]), ++count;
            for (std::int64_t i = 0; i < queries_; ++i)
                is = is && std::abs(static_cast<double>(out[static_cast<std::size_t>(i * kDim + d)]) - sum / count) < 1e-6;
        }
        return is;
    }

    /// Whether all that engine and reference compute is NaN, by a function and by a bias.
    bool is_nan(LogitOf logit_of) const {
        const auto all = [](const std::vector<float>& x) { return std::ranges::all_of(x, [](float y) { return std::isnan(y); }); };
        return all(by_function(logit_of)) && all(by_bias(logit_of));
    }

  private:
    std::vector<float> normal(std::int64_t count) {
        std::vector<float> result(static_cast<std::size_t>(count));
        for (float& x : result) x = random_.normal();
        return result;
    }

    /// The engine's result, which is also the reference's.
    std::vector<float> run(AttentionArguments arguments) const {
        std::vector<float> out(query_.size());
        arguments.query = bhsd(query_.data(), 1, 1, queries_, kDim);
        arguments.key = bhsd(key_.data(), 1, 1, kKeys, kDim);
        arguments.value = bhsd(value_.data(), 1, 1, kKeys, kDim);
        arguments.out = bhsd(out.data(), 1, 1, queries_, kDim);
        attention(arguments);
        const auto wide = [](const std::vector<float>& x) { return std::vector<double>(x.begin(), x.end()); };
        const std::vector<double> query = wide(query_), key = wide(key_), value = wide(value_);
        std::vector<double> exact(out.size());
        reference::attention<double>(bhsd(query.data(), 1, 1, queries_, kDim), bhsd(key.data(), 1, 1, kKeys, kDim),
                                     bhsd(value.data(), 1, 1, kKeys, kDim), bhsd(exact.data(), 1, 1, queries_, kDim), {},
                                     arguments);
        double worst = 0;
        bool both_nan = true;
        for (std::size_t i = 0; i < out.size(); ++i) {
            worst = std::fmax(worst, std::abs(static_cast<double>(out[i]) - exact[i]));
            both_nan = both_nan && std::isnan(out[i]) == std::isnan(exact[i]);
        }
        CHECK(worst < 3e-6);
        CHECK(both_nan);
        return out;
    }

    std::int64_t queries_;
    RandomNumbers random_{test_seed()};
    std::vector<float> query_, key_, value_;
};

float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
    float largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i) largest = std::fmax(largest, std::abs(a[i] - b[i]));
    return largest;
}

bool is_odd(std::int64_t key) {
    return key % 2 == 1;
}
bool is_any(std::int64_t) {
    return true;
}

TEST_CASE("among other logits the lowest number takes a key away as -Inf does") {
    for (const std::int64_t queries : {1, 3, 40}) {
        CAPTURE(queries);
        const Lowest call(queries);
        for (const LogitOf lowest : {LogitOf([](std::int64_t j) { return is_odd(j) ? kLowest : 0.0f; }),
                                     LogitOf([](std::int64_t j) { return is_odd(j) ? -2.5e38f : 0.0f; })}) {
            const LogitOf masks = [](std::int64_t j) { return is_odd(j) ? -kInf : 0.0f; };
            CHECK(largest_difference(call.by_function(lowest), call.by_function(masks)) < 1e-6f);
            CHECK(largest_difference(call.by_bias(lowest), call.by_bias(masks)) < 1e-6f);
        }
    }
}

TEST_CASE("a row of nothing but the lowest numbers is the mean of the values") {
    for (const std::int64_t queries : {1, 3, 40}) {
        CAPTURE(queries);
        const Lowest call(queries);
        for (const LogitOf lowest : {LogitOf([](std::int64_t) { return kLowest; }),
                                     LogitOf([](std::int64_t j) { return is_odd(j) ? kLowest : -2.5e38f; })}) {
            CHECK(call.is_mean(call.by_function(lowest), is_any));
            CHECK(call.is_mean(call.by_bias(lowest), is_any));
        }
        // Above the line two numbers differ.
        const LogitOf apart = [](std::int64_t j) { return is_odd(j) ? -2.2e38f : kLowest; };
        CHECK(call.is_mean(call.by_function(apart), is_odd));
        CHECK(call.is_mean(call.by_bias(apart), is_odd));
    }
}

TEST_CASE("the highest numbers are logits like others up to 2.35e38, and +Inf from 2.36e38 on") {
    for (const std::int64_t queries : {1, 3, 40}) {
        CAPTURE(queries);
        const Lowest call(queries);
        const LogitOf high = [](std::int64_t j) { return is_odd(j) ? 2.35e38f : 0.0f; };
        CHECK(call.is_mean(call.by_function(high), is_odd));
        CHECK(call.is_mean(call.by_bias(high), is_odd));
        for (const LogitOf infinite : {LogitOf([](std::int64_t j) { return is_odd(j) ? 2.36e38f : 0.0f; }),
                                       LogitOf([](std::int64_t j) { return is_odd(j) ? -kLowest : 0.0f; }),
                                       LogitOf([](std::int64_t j) { return is_odd(j) ? kInf : 0.0f; })}) {
            CHECK(call.is_nan(infinite));
        }
    }
}

}  // namespace
}  // namespace headwise::test
