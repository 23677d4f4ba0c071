#include "tests/attention/rounding.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "headwise/reference.hpp"
#include "tests/support/accuracy.hpp"
#include "tests/support/strided_tensor.hpp"

namespace headwise::test {
namespace {

bool agree(double a, double b, double allowed) {
    return a == b || (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= allowed;
}

}  // namespace

Rounding allowed_rounding(const VariantCall& call) {
    const AttentionArguments& a = call.arguments;
    const std::array<std::int64_t, 4> rows{a.out.extent[0], a.out.extent[1], a.out.extent[2], 1};
    PlainTensor<double> exact(a.out.extent), exact_sums(rows);
    PlainTensor<float> naive(a.out.extent), naive_sums(rows);
    const auto without_last = [](const auto& view) {
        return TensorView(view.data, std::array{view.extent[0], view.extent[1], view.extent[2]});
    };
    const PlainTensor<double> query = widened(a.query), key = widened(a.key), value = widened(a.value);
    reference::attention<double>(query.view, key.view, value.view, exact.view, call.options, a, without_last(exact_sums.view));
    reference::attention<float>(a.query, a.key, a.value, naive.view, call.options, a, without_last(naive_sums.view));
    Accuracy sums = compare(naive_sums.view, exact_sums.view);
    // A logarithm near 0 comes of a sum near 1: what counts is how far off the sum is.
    sums.largest = std::max(sums.largest, 1.0);
    return {allowed_error(compare(naive.view, exact.view)), allowed_error(sums)};
}

void check_results(const VariantCall& call, const std::vector<double>& expected, const Rounding& allowed, std::size_t b) {
    const std::vector<float> results = call.results(b);
    const auto outs = static_cast<std::size_t>(call.shape.num_heads * call.sequences[b].queries * call.shape.value_dim);
    REQUIRE(results.size() == expected.size());
    for (std::size_t i = 0; i < results.size(); ++i) {
        const double limit = i < outs ? allowed.out : allowed.log_sum_exp, result = static_cast<double>(results[i]);
        if (agree(result, expected[i], limit)) continue;
        INFO(call.text() << ", sequence " << b << ", element " << i << ", " << outs << " of out come before log_sum_exp");
        REQUIRE_MESSAGE(false, result, ", expected ", expected[i], " within ", limit);
    }
}

void check_within_rounding(const VariantCall& a, const VariantCall& b) {
    const Rounding allowed = allowed_rounding(a) + allowed_rounding(b);
    for (std::size_t i = 0; i < a.sequences.size(); ++i) check_results(a, widened(b.results(i)), allowed, i);
}

std::vector<double> widened(const std::vector<float>& numbers) {
    return {numbers.begin(), numbers.end()};
}

}  // namespace headwise::test
