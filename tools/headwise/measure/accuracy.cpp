#include "measure/accuracy.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace headwise::tools {
namespace {

// Naive loops run at 1 to 2 GF/s: about a second for f32 and another for f64.
constexpr double kNaiveFlops = 1e9;

template <class A, class B>
double largest_difference(std::span<const A> a, std::span<const B> b) {
    double result = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        result = std::max(result, absolute_difference(static_cast<double>(a[i]), static_cast<double>(b[i])));
    }
    return result;
}

}  // namespace

double absolute_difference(double a, double b) {
    if (a == b || (std::isnan(a) && std::isnan(b))) return 0;
    const double difference = std::abs(a - b);
    return std::isnan(difference) ? std::numeric_limits<double>::infinity() : difference;
}

std::vector<double> widened(std::span<const float> values) {
    return {values.begin(), values.end()};
}

double sampled_row_count(double flops_per_row) {
    return std::max(2.0, kNaiveFlops / std::max(flops_per_row, 1.0));
}

std::vector<std::int64_t> sampled_rows(std::int64_t total, double flops_per_row) {
    const double affordable = sampled_row_count(flops_per_row);
    const std::int64_t count = affordable < static_cast<double>(total) ? static_cast<std::int64_t>(affordable) : total;
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < count; ++i) {
        const double share = count > 1 ? static_cast<double>(i) / static_cast<double>(count - 1) : 0;
        rows.push_back(std::llround(share * static_cast<double>(total - 1)));
    }
    return rows;
}

void AccuracyRecord::add(std::span<const float> engine, std::span<const float> naive, std::span<const double> exact) {
    accuracy_.engine_error = std::max(accuracy_.engine_error, largest_difference(engine, exact));
    accuracy_.naive_error = std::max(accuracy_.naive_error, largest_difference(naive, exact));
    for (const double x : exact) {
        if (std::isfinite(x)) accuracy_.largest = std::max(accuracy_.largest, std::abs(x));
    }
    ++accuracy_.rows;
}

void AccuracyRecord::add_model(std::span<const float> engine, std::span<const float> naive, std::span<const float> model) {
    accuracy_.engine_to_model = std::max(accuracy_.engine_to_model.value_or(0), largest_difference(engine, model));
    accuracy_.naive_to_model = std::max(accuracy_.naive_to_model.value_or(0), largest_difference(naive, model));
}

void AccuracyRecord::add_naive_time(double flops, double seconds) {
    flops_ += flops;
    seconds_ += seconds;
}

Accuracy AccuracyRecord::result(std::int64_t total_rows) const {
    Accuracy result = accuracy_;
    result.total_rows = total_rows;
    result.naive_gflops = seconds_ > 0 ? flops_ / seconds_ / 1e9 : 0;
    return result;
}

bool is_wrong(const Accuracy& accuracy) {
    // Rounding moves results by some 1e-6 of the largest; bugs move them by much more.
    return accuracy.rows > 0 &&
           !(accuracy.engine_error <= 1e-4 * accuracy.largest + 4 * accuracy.naive_error + accuracy.negligible);
}

}  // namespace headwise::tools
