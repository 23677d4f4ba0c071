#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <span>

#include "engine/kernels/kernel_table.hpp"
#include "headwise/cpu.hpp"
#include "verify/checks.hpp"

namespace headwise::tools {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct ExpFunction {
    const char* name;
    void (*engine)(const float*, float*, std::int64_t);
    double (*exact)(double);
    double octave;  ///< what doubles the result
};

/// |result - exact| in units of the distance between floats at `exact`; infinity counts as 2^128, the first number that rounds to
/// it.
double units_in_last_place(float result, double exact) {
    if (std::isnan(result) || std::isnan(exact)) return std::isnan(result) && std::isnan(exact) ? 0 : kInfinity;
    if (exact >= 0x1p128) return std::isinf(result) && result > 0 ? 0 : kInfinity;
    const int exponent = exact > 0 ? std::max(std::ilogb(exact), -126) : -126;
    const double value = std::isinf(result) ? std::copysign(0x1p128, result) : static_cast<double>(result);
    return std::abs(value - exact) / std::ldexp(1.0, exponent - 23);
}

void try_floats(const ExpFunction& function, std::span<const float> x, CheckResult& result) {
    std::vector<float> y(x.size());
    function.engine(x.data(), y.data(), static_cast<std::int64_t>(x.size()));
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double exact = function.exact(static_cast<double>(x[i]));
        result.add(units_in_last_place(y[i], exact),
                   [&] { return fmt::format("{}({}) is {}, expected {}", function.name, x[i], y[i], exact); });
    }
}

/// Every 4099th float, of either sign, NaN among them.
void try_all_in_steps(const ExpFunction& function, CheckResult& result) {
    constexpr std::uint64_t kStep = 4099, kEnd = std::uint64_t{1} << 32;
    constexpr std::size_t kBatch = 4096;
    std::vector<float> x;
    for (std::uint64_t bits = 0; bits < kEnd;) {
        for (x.clear(); x.size() < kBatch && bits < kEnd; bits += kStep)
            x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
        try_floats(function, x, result);
    }
}

/// The floats around 0, the overflow, where results become denormal, and where they become 0.
void try_edges(const ExpFunction& function, CheckResult& result) {
    constexpr std::uint32_t kAround = 100;
    std::vector<float> x;
    for (const double octaves : {1.0, -1.0, 0.5, -0.5, 127.0, 128.0, -126.0, -127.0, -149.0, -150.0, -151.0}) {
        const std::uint32_t middle = std::bit_cast<std::uint32_t>(static_cast<float>(octaves * function.octave));
        for (std::uint32_t bits = middle - kAround; bits <= middle + kAround; ++bits) x.push_back(std::bit_cast<float>(bits));
    }
    using Limits = std::numeric_limits<float>;
    for (const float value : {0.0f, Limits::denorm_min(), Limits::min(), Limits::max(), Limits::infinity(), Limits::quiet_NaN()})
        x.insert(x.end(), {value, -value});
    try_floats(function, x, result);
}

}  // namespace

std::vector<CheckResult> verify_exp() {
    const Isa isa = active_isa();
    const MathKernels& math = kernel_table(isa).math;
    const std::array<ExpFunction, 2> functions{{{"exp", math.exp, [](double x) { return std::exp(x); }, 0.6931471805599453},
                                                {"exp2", math.exp2, [](double x) { return std::exp2(x); }, 1.0}}};
    std::vector<CheckResult> results;
    for (const ExpFunction& function : functions) {
        CheckResult result{.isa = isa, .check = function.name, .things = "floats", .allowed = 1, .unit = "ULP"};
        try_all_in_steps(function, result);
        try_edges(function, result);
        results.push_back(std::move(result));
    }
    return results;
}

}  // namespace headwise::tools
