#include "tests/support/bound_use.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace headwise::test {
namespace {

/// error / bound, 0 where nothing is promised.
double use_of(double result, double exact, double bound) {
    if (result == exact || std::isnan(bound) || std::isinf(bound)) return 0;
    const double error = std::abs(result - exact);
    return std::isnan(error) || bound == 0 ? std::numeric_limits<double>::infinity() : error / bound;
}

}  // namespace

void BoundUse::add(const BoundUse& other, const std::string& call) {
    if (std::max(other.out, other.log_sum_exp) > std::max(out, log_sum_exp)) {
        worst = other.worst;
        worst_call = call;
    }
    out = std::max(out, other.out);
    log_sum_exp = std::max(log_sum_exp, other.log_sum_exp);
}

std::string BoundUse::text() const {
    char shares[80];
    std::snprintf(shares, sizeof shares, "errors reach %.3f of the bound, %.3f of that of log_sum_exp; ", out, log_sum_exp);
    return shares + worst_call + ": " + worst;
}

BoundUse use_of_bound(const AttentionErrorBound& allowed, const TensorView<const float, 4>& out,
                      const TensorView<const float, 3>& log_sum_exp) {
    BoundUse use;
    const auto look = [&](double& largest, const char* name, double result, double exact, double bound, auto... index) {
        const double x = use_of(result, exact, bound);
        const bool is_worst = x > std::max(use.out, use.log_sum_exp);
        largest = std::max(largest, x);
        if (!is_worst) return;
        char numbers[160];
        std::snprintf(numbers, sizeof numbers, " is %.9g, exactly %.9g: %.3g of the bound of %.3g", result, exact, x, bound);
        use.worst = std::string(name) + " at";
        ((use.worst += " " + std::to_string(index)), ...);
        use.worst += numbers;
    };
    for_each_element(out.extent, [&](auto... index) {
        look(use.out, "out", element(out, index...), element(allowed.exact.view, index...), element(allowed.bound.view, index...),
             index...);
    });
    if (!log_sum_exp.data) return use;
    for_each_element(allowed.exact_sums.view.extent, [&](auto b, auto h, auto i, auto) {
        const double result = log_sum_exp.data[b * log_sum_exp.stride[0] + h * log_sum_exp.stride[1] + i * log_sum_exp.stride[2]];
        look(use.log_sum_exp, "log_sum_exp", result, element(allowed.exact_sums.view, b, h, i, 0),
             element(allowed.bound_of_sums.view, b, h, i, 0), b, h, i);
    });
    return use;
}

}  // namespace headwise::test
