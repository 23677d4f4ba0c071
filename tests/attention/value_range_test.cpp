// The promise about accuracy (tests/support/attention_error_bound.hpp) over the range of values that f32 has: logits up to 1e17
// apart, denormal numbers, biases down to -1e30, up to a million keys. Each test case prints how close the engine came to the bound
// and how its errors compare with those of the naive f32 loops, which are measured and not held against it.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "headwise/reference.hpp"
#include "tests/support/bound_use.hpp"
#include "tests/support/random_numbers.hpp"

namespace headwise::test {
namespace {

constexpr std::int64_t kRows[] = {1, 6, 70};  // for the kernels of few and of many rows
constexpr double kMagnitudes[] = {0, 1e-30, 1e-3, 1, 10, 100, 1e3, 1e4, 1e6, 1e10, 1e17};

struct Sizes {
    std::int64_t heads = 2, queries = 1, keys = 200, head_dim = 40, value_dim = 16;
};

/// A call that owns its tensors, filled with normal numbers.
struct Call {
    Call(const Sizes& s, const AttentionOptions& o, std::uint64_t seed = test_seed())
        : options(o),
          query(static_cast<std::size_t>(s.heads * s.queries * s.head_dim)),
          key(static_cast<std::size_t>(s.heads * s.keys * s.head_dim)),
          value(static_cast<std::size_t>(s.heads * s.keys * s.value_dim)),
          out(static_cast<std::size_t>(s.heads * s.queries * s.value_dim)),
          sums(static_cast<std::size_t>(s.heads * s.queries)) {
        RandomNumbers random(seed);
        for (std::vector<float>* tensor : {&query, &key, &value})
            for (float& x : *tensor) x = random.normal();
        arguments = {.query = bhsd<const float>(query.data(), 1, s.heads, s.queries, s.head_dim),
                     .key = bhsd<const float>(key.data(), 1, s.heads, s.keys, s.head_dim),
                     .value = bhsd<const float>(value.data(), 1, s.heads, s.keys, s.value_dim),
                     .out = bhsd<float>(out.data(), 1, s.heads, s.queries, s.value_dim)};
        arguments.log_sum_exp = {sums.data(), {1, s.heads, s.queries}};
    }
    Call(const Call&) = delete;  // arguments point to its tensors
    Call& operator=(const Call&) = delete;

    AttentionOptions options;
    AttentionArguments arguments;
    std::vector<float> query, key, value, out, sums, bias;

    /// [1, 1, 1, keys]
    void add_bias(std::vector<float> of_keys) {
        bias = std::move(of_keys);
        arguments.bias = {bias.data(), {1, 1, 1, arguments.key.extent[2]}};
    }
};

void multiply(std::vector<float>& x, double factor) {
    for (float& element : x) element = static_cast<float>(static_cast<double>(element) * factor);
}

/// Checks calls against the bound; in the end prints what was largest.
class BoundCheck {
  public:
    explicit BoundCheck(const char* what) : what_(what) {}
    ~BoundCheck() {
        std::printf("%s: %s", what_, most_.text().c_str());
        if (naive_ > 0) std::printf("; up to %.1f times the error of the naive loops (%s)", naive_, naive_call_.c_str());
        std::printf("\n");
    }

    void check(Call& call, const std::string& where) {
        INFO(where);
        attention(call.arguments, call.options);
        const AttentionErrorBound allowed(call.options, call.arguments);
        const BoundUse use = use_of_bound(allowed, call.arguments.out, call.arguments.log_sum_exp);
        CHECK_MESSAGE(use.within(), use.worst);
        most_.add(use, where);
        compare_with_naive(call, allowed, where);
    }

  private:
    /// Over a call, where errors are more than the last place's.
    void compare_with_naive(const Call& call, const AttentionErrorBound& allowed, const std::string& where) {
        if (call.key.size() > 1'000'000) return;
        PlainTensor<float> naive(call.arguments.out.extent);
        reference::attention<float>(call.arguments.query, call.arguments.key, call.arguments.value, naive.view, call.options,
                                    call.arguments);
        double engine_error = 0, naive_error = 0, largest = 0;
        for (std::size_t i = 0; i < naive.data.size(); ++i) {
            const double exact = allowed.exact.data[i];
            largest = std::max(largest, std::abs(exact));
            engine_error = std::max(engine_error, std::abs(static_cast<double>(call.out[i]) - exact));
            naive_error = std::max(naive_error, std::abs(static_cast<double>(naive.data[i]) - exact));
        }
        if (naive_error > 0x1p-24 * largest && engine_error > naive_ * naive_error) {
            naive_ = engine_error / naive_error;
            naive_call_ = where;
        }
    }

    const char* what_;
    BoundUse most_;
    double naive_ = 0;
    std::string naive_call_;
};

std::string text(double x) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%g", x);
    return buffer;
}

std::string of_rows(std::int64_t rows) {
    return std::to_string(rows) + " rows, ";
}

/// check(rows, options, name) for both kernels, with causal masks and windows and without.
template <class Check>
void for_positions(const Check& check) {
    for (const std::int64_t rows : kRows) {
        check(rows, AttentionOptions{}, of_rows(rows));
        check(rows, AttentionOptions{.causal = Causal::bottom_right}, of_rows(rows) + "causal, ");
        check(rows, AttentionOptions{.causal = Causal::bottom_right, .window = {.left = 70}}, of_rows(rows) + "window, ");
    }
}

TEST_CASE("the bound is the reference's result, give or take little: 1e-4 for logits of a few units") {
    for (const std::int64_t rows : kRows) {
        const Call call({.queries = rows}, {.causal = Causal::bottom_right});
        const AttentionErrorBound allowed(call.options, call.arguments);
        PlainTensor<double> reference(call.arguments.out.extent);
        reference::attention<double>(widened(call.arguments.query).view, widened(call.arguments.key).view,
                                     widened(call.arguments.value).view, reference.view, call.options);
        for (std::size_t i = 0; i < reference.data.size(); ++i) {
            CHECK(std::abs(allowed.exact.data[i] - reference.data[i]) < 1e-14);
            CHECK(allowed.bound.data[i] < 1e-4);
        }
    }
}

TEST_CASE("logits of any magnitude, from the scale, the queries or the keys") {
    BoundCheck bound("magnitudes");
    for_positions([&](std::int64_t rows, const AttentionOptions& options, const std::string& name) {
        for (const double magnitude : kMagnitudes)
            for (const std::int64_t dim : {1, 40}) {
                const Sizes sizes{.queries = rows, .head_dim = dim};
                const std::string where = name + "dimension " + std::to_string(dim) + ", logits of " + text(magnitude);
                AttentionOptions scaled = options;
                scaled.scale = static_cast<float>(magnitude / std::sqrt(static_cast<double>(dim)));
                Call by_scale(sizes, scaled), by_queries(sizes, options), by_keys(sizes, options), by_both(sizes, options);
                bound.check(by_scale, where + " by the scale");
                multiply(by_queries.query, magnitude);
                bound.check(by_queries, where + " by the queries");
                multiply(by_keys.key, magnitude);
                bound.check(by_keys, where + " by the keys");
                multiply(by_both.query, 1e-15 * magnitude);
                multiply(by_both.key, 1e15);
                bound.check(by_both, where + " by the keys against small queries");
            }
    });
}

TEST_CASE("large logits that nearly agree: the weights are shared by the keys whose logits cannot be told apart") {
    BoundCheck bound("near ties");
    for (const std::int64_t rows : kRows)
        for (const double magnitude : {10.0, 1e2, 1e3, 1e4, 1e6})
            for (const double apart : {0.0, 1e-7, 1e-6, 1e-3}) {
                Call call({.queries = rows, .keys = 300}, {});
                // All keys are the first one, but for differences.
                const std::size_t dim = 40, per_head = 300 * dim;
                for (std::size_t i = 0; i < call.key.size(); ++i)
                    call.key[i] = call.key[i / per_head * per_head + i % dim] + static_cast<float>(apart) * call.key[i];
                multiply(call.query, magnitude);
                bound.check(call, of_rows(rows) + "logits of " + text(magnitude) + ", keys apart by " + text(apart));
            }
}

TEST_CASE("softcap with logits of any magnitude") {
    BoundCheck bound("softcap");
    for_positions([&](std::int64_t rows, AttentionOptions options, const std::string& name) {
        for (const float softcap : {1e-3f, 0.5f, 30.0f, 1e4f, 1e20f})
            for (const double magnitude : kMagnitudes) {
                options.softcap = softcap;
                Call call({.queries = rows}, options);
                multiply(call.query, magnitude);
                bound.check(call, name + "softcap " + text(static_cast<double>(softcap)) + ", logits of " + text(magnitude));
            }
    });
}

TEST_CASE("biases from 0 to -1e30 on some of the keys, on all but one, on all") {
    BoundCheck bound("biases");
    for_positions([&](std::int64_t rows, const AttentionOptions& options, const std::string& name) {
        for (const double bias : {-1.0, -30.0, -80.0, -1e3, -1e6, -1e10, -1e30})
            for (const std::size_t step : {std::size_t{2}, std::size_t{200}}) {
                for (const bool some : {true, false}) {
                    Call call({.queries = rows}, options);
                    std::vector<float> of_keys(200);
                    for (std::size_t j = 0; j < of_keys.size(); ++j)
                        of_keys[j] = (j % step == step - 1) == some ? static_cast<float>(bias) : 0;
                    call.add_bias(of_keys);
                    const std::string where =
                        name + "bias " + text(bias) + (some ? " on each " : " on all but each ") + std::to_string(step) + "th key";
                    bound.check(call, where);
                }
            }
        for (const double bias : {-1.0, -1e6, -1e30}) {
            Call call({.queries = rows}, options);
            call.add_bias(std::vector<float>(200, static_cast<float>(bias)));
            bound.check(call, name + "bias " + text(bias) + " on all keys");
        }
    });
}

TEST_CASE("ALiBi of any slope, and sinks from far below to far above the logits") {
    BoundCheck bound("ALiBi and sinks");
    for (const std::int64_t rows : kRows)
        for (const float slope : {0.0f, 1e-5f, 0.5f, -3.0f, 1e4f, -1e10f})
            for (const float sink : {-1e30f, -100.0f, 0.0f, 20.0f, 1e3f, 1e30f}) {
                Call call({.queries = rows}, {.causal = Causal::bottom_right});
                const std::vector<float> slopes(2, slope), sinks(2, sink);
                call.arguments.alibi_slopes = slopes;
                call.arguments.sinks = sinks;
                bound.check(call, of_rows(rows) + "slope " + text(static_cast<double>(slope)) + ", sink " +
                                      text(static_cast<double>(sink)));
            }
}

TEST_CASE("denormal values, queries and keys") {
    BoundCheck bound("denormal numbers");
    for_positions([&](std::int64_t rows, const AttentionOptions& options, const std::string& name) {
        for (const double size : {1e-36, 1e-38, 1e-40, 1e-43, 1e-45}) {
            const Sizes sizes{.queries = rows};
            Call values(sizes, options), queries(sizes, options), keys(sizes, options), all(sizes, options);
            multiply(values.value, size);
            bound.check(values, name + "values of " + text(size));
            multiply(queries.query, size);
            multiply(queries.key, 1e37);
            bound.check(queries, name + "queries of " + text(size));
            multiply(keys.key, size);
            multiply(keys.query, 1e36);
            bound.check(keys, name + "keys of " + text(size));
            for (std::vector<float>* tensor : {&all.query, &all.key, &all.value}) multiply(*tensor, size);
            bound.check(all, name + "all numbers of " + text(size));
        }
    });
}

TEST_CASE("values of any magnitude in one call") {
    BoundCheck bound("values");
    for (const std::int64_t rows : kRows)
        for (const double ratio : {1.5, 10.0, 1e3}) {
            Call call({.queries = rows}, {});
            RandomNumbers random(test_seed());
            for (float& x : call.value)
                x = static_cast<float>(static_cast<double>(x) * std::pow(ratio, static_cast<double>(random.between(-9, 9))));
            bound.check(call, of_rows(rows) + "values up to " + text(std::pow(ratio, 9)));
        }
}

TEST_CASE("up to a million keys") {
    BoundCheck bound("lengths");
    for (const std::int64_t keys : {1'000, 30'000, 1'000'000})
        for (const std::int64_t rows : {1, 16}) {
            if (keys * rows > 1'000'000) continue;
            for (const double magnitude : {0.0, 1.0, 10.0}) {
                Call call({.heads = 1, .queries = rows, .keys = keys, .head_dim = 8, .value_dim = 4}, {});
                multiply(call.query, magnitude);
                for (float& x : call.value) x = std::abs(x);  // sums whose rounding does not cancel
                bound.check(call, of_rows(rows) + std::to_string(keys) + " keys, logits of " + text(magnitude));
            }
        }
}

TEST_CASE("roundings that all point the same way") {
    BoundCheck bound("one direction");
    for (const std::int64_t rows : kRows)
        for (const std::int64_t dim : {8, 64, 256})
            for (const double magnitude : {1.0, 100.0}) {
                // Sums of equal terms just above half a unit in the last place of theirs.
                Call call({.queries = rows, .keys = 400, .head_dim = dim}, {.scale = static_cast<float>(magnitude)});
                for (float& x : call.query) x = 1.0f + 0x1p-23f;
                for (std::size_t i = 0; i < call.key.size(); ++i)
                    call.key[i] = (1.0f + 0x1p-12f) * (i / static_cast<std::size_t>(dim) % 2 == 0 ? 1.0f : 1.0f - 0x1p-10f);
                bound.check(call, of_rows(rows) + "dimension " + std::to_string(dim) + ", scale " + text(magnitude));
            }
}

}  // namespace
}  // namespace headwise::test
