// exp and exp2 of the active ISA against double precision: within 1 ULP of the exact result for every float.
// Every 251st float is tried, and all near the edges; with HEADWISE_TEST_EXP_STRIDE=1 all 2^32 of them (about two minutes).
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "engine/kernels/kernel_table.hpp"
#include "headwise/cpu.hpp"
#include "tests/support/guarded_memory.hpp"
#include "tests/support/random_numbers.hpp"

namespace headwise::test {
namespace {

using ArrayFunction = void (*)(const float*, float*, std::int64_t);

struct Function {
    std::string name;
    ArrayFunction array;
    double (*exact)(double);
};

std::vector<Function> functions() {
    const MathKernels& math = kernel_table(active_isa()).math;
    return {{"exp", math.exp, [](double x) { return std::exp(x); }}, {"exp2", math.exp2, [](double x) { return std::exp2(x); }}};
}

/// |result - exact| in units of the distance between floats at `exact`; Inf counts as 2^128, the first number that rounds to it.
double ulps(float result, double exact) {
    if (std::isnan(result) || std::isnan(exact))
        return std::isnan(result) && std::isnan(exact) ? 0 : std::numeric_limits<double>::infinity();
    if (exact >= 0x1p128) return result == std::numeric_limits<float>::infinity() ? 0 : std::numeric_limits<double>::infinity();
    const int exponent = exact > 0 ? std::max(std::ilogb(exact), -126) : -126;
    const double value = std::isinf(result) ? 0x1p128 : static_cast<double>(result);
    return std::abs(value - exact) / std::ldexp(1.0, exponent - 23);
}

struct Worst {
    double ulps = 0;
    float x = 0, result = 0;
};

/// Tries the floats with the bits first, first + step, ... below `last`.
Worst worst_error(const Function& function, std::uint64_t first, std::uint64_t last, std::uint64_t step) {
    constexpr std::size_t kBatch = 4096;
    std::vector<float> x, y(kBatch);
    Worst worst;
    for (std::uint64_t bits = first; bits < last;) {
        for (x.clear(); x.size() < kBatch && bits < last; bits += step)
            x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
        function.array(x.data(), y.data(), static_cast<std::int64_t>(x.size()));
        for (std::size_t i = 0; i < x.size(); ++i) {
            const double error = ulps(y[i], function.exact(static_cast<double>(x[i])));
            if (error > worst.ulps) worst = {error, x[i], y[i]};
        }
    }
    return worst;
}

TEST_CASE("within 1 ULP over the whole range of floats") {
    const char* stride = std::getenv("HEADWISE_TEST_EXP_STRIDE");
    for (const Function& function : functions()) {
        const Worst worst = worst_error(function, 0, std::uint64_t{1} << 32, stride ? std::strtoull(stride, nullptr, 10) : 251);
        MESSAGE(function.name, ": at most ", worst.ulps, " ULP, at ", worst.x, " (", worst.result, ")");
        CHECK(worst.ulps <= 1);
    }
}

TEST_CASE("within 1 ULP near every edge: overflow, denormal results, underflow, 0, and where the reduction changes over") {
    const double log2e = 1.4426950408889634;
    for (const Function& function : functions()) {
        const double unit = function.name == "exp" ? 1 / log2e : 1;  // doubles the result
        std::vector<double> edges = {0, 128 * unit, -126 * unit, -149 * unit, -150 * unit, -151 * unit, 89, -104, 130, 127, -127};
        for (double n = -152; n <= 129; ++n) edges.push_back((n + 0.5) * unit), edges.push_back(n * unit);
        Worst worst;
        for (const double edge : edges)
            for (const float sign : {1.0f, -1.0f}) {
                const std::uint64_t bits = std::bit_cast<std::uint32_t>(sign * static_cast<float>(edge));
                const std::uint64_t first = bits > 300 ? bits - 300 : 0;
                const Worst here = worst_error(function, first, std::min(bits + 300, std::uint64_t{1} << 32), 1);
                if (here.ulps > worst.ulps) worst = here;
            }
        INFO(function.name << " of " << worst.x << " is " << worst.result);
        CHECK(worst.ulps <= 1);
    }
}

TEST_CASE("special values") {
    constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
    constexpr float kDenormal = std::numeric_limits<float>::denorm_min(), kMax = std::numeric_limits<float>::max();
    for (const Function& function : functions()) {
        CAPTURE(function.name);
        const auto value = [&](float x) {
            function.array(&x, &x, 1);
            return x;
        };
        CHECK(value(0.0f) == 1);
        CHECK(value(-0.0f) == 1);
        CHECK(value(kDenormal) == 1);
        CHECK(value(-kDenormal) == 1);
        CHECK(value(kInf) == kInf);
        CHECK(value(kMax) == kInf);
        CHECK(value(-kInf) == 0);
        CHECK(value(-kMax) == 0);
        CHECK_FALSE(std::signbit(value(-kInf)));
        CHECK(std::isnan(value(kNan)));
        CHECK(std::isnan(value(-kNan)));
        CHECK(std::isnan(value(std::bit_cast<float>(0x7f800001u))));
    }
}

TEST_CASE("exp2 of a whole number is exact") {
    for (int n = -149; n <= 127; ++n) {
        const auto x = static_cast<float>(n);
        float y = 0;
        kernel_table(active_isa()).math.exp2(&x, &y, 1);
        CHECK(y == std::ldexp(1.0f, n));
    }
}

TEST_CASE("exp2_weight has the bits of exp2, or is 0 where that is at most 2^-100, and so never denormal") {
    const MathKernels& math = kernel_table(active_isa()).math;
    std::vector<float> x;
    for (std::uint64_t bits = 0; bits < std::uint64_t{1} << 32; bits += 1009) {
        const float value = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
        if (!(value > 130)) x.push_back(value);
    }
    for (float value = -152; value <= 130; value += 0.125f) x.push_back(value);
    x.insert(x.end(), {-std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()});
    std::vector<float> expected(x.size()), weight(x.size());
    math.exp2(x.data(), expected.data(), static_cast<std::int64_t>(x.size()));
    math.exp2_weight(x.data(), weight.data(), static_cast<std::int64_t>(x.size()));
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const bool same = std::bit_cast<std::uint32_t>(weight[i]) == std::bit_cast<std::uint32_t>(expected[i]);
        if (same || (std::isnan(weight[i]) && std::isnan(x[i])) || (weight[i] == 0 && expected[i] <= 0x1p-100f)) continue;
        INFO("2^" << x[i] << " came out as " << weight[i] << ", exp2 gives " << expected[i]);
        if (++wrong < 10) CHECK(weight[i] == expected[i]);
    }
    CHECK(wrong == 0);
}

TEST_CASE("the same bits in full vectors and in tails, at any address, in place or not, with nothing touched beyond the array") {
    constexpr std::int64_t kMost = 67, kOffsets = 17;
    RandomNumbers random(test_seed());
    std::vector<float> x(kMost);
    for (float& v : x) v = 60 * random.normal();
    x[3] = std::numeric_limits<float>::quiet_NaN(), x[40] = -std::numeric_limits<float>::infinity(), x[66] = 1e30f;
    for (const Function& function : functions()) {
        std::vector<float> expected(kMost);
        for (std::size_t i = 0; i < kMost; ++i) function.array(&x[i], &expected[i], 1);
        const auto same = [&](const float* y, std::int64_t n) {
            for (std::int64_t i = 0; i < n; ++i)
                if (std::bit_cast<std::uint32_t>(y[i]) != std::bit_cast<std::uint32_t>(expected[static_cast<std::size_t>(i)]))
                    return false;
            return true;
        };
        for (std::int64_t n = 0; n <= kMost; ++n)
            for (const Guard guard : {Guard::below, Guard::above}) {
                const GuardedMemory in(static_cast<std::size_t>(n) * sizeof(float), guard), out(in.size(), guard);
                auto* from = reinterpret_cast<float*>(in.data());
                auto* to = reinterpret_cast<float*>(out.data());
                std::copy_n(x.data(), n, from);
                function.array(from, to, n);
                CHECK(same(to, n));
                function.array(from, from, n);
                CHECK(same(from, n));
            }
        for (std::int64_t offset = 0; offset < kOffsets; ++offset) {
            std::vector<float> memory(static_cast<std::size_t>(kMost + 2 * kOffsets), 7);
            function.array(x.data(), memory.data() + offset, kMost);
            CHECK(same(memory.data() + offset, kMost));
            for (std::int64_t i = 0; i < static_cast<std::int64_t>(memory.size()); ++i)
                if (i < offset || i >= offset + kMost) CHECK(memory[static_cast<std::size_t>(i)] == 7);
        }
    }
}

}  // namespace
}  // namespace headwise::test
