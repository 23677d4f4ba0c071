// What the formula says of keys in another order, of keys in two parts, and of logits that rise together.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/attention/rounding.hpp"
#include "tests/attention/variant_call.hpp"

namespace headwise::test {
namespace {

const std::vector<SequenceSizes> kSizes = {{1, 90, 1}, {3, 1300, 2}, {20, 24, 3}, {40, 700, 4}};

const Variants kRules[] = {
    {.name = "plain"},
    {.name = "mask", .mask = true},
    {.name = "bias", .bias = true},
    {.name = "mask, bias, softcap and sinks", .options = {.softcap = 2}, .bias = true, .sinks = true, .mask = true}};

TEST_CASE("the order of the keys, with their masks and biases, does not matter") {
    for (const SequenceSizes& sizes : kSizes)
        for (const Variants& rules : kRules) {
            const VariantCall call(rules, {sizes}), permuted(rules, {sizes});
            const std::int64_t step = sizes.keys % 7 == 0 ? 11 : 7;  // without a common divisor with the number of keys
            for (std::int64_t j = 0; j < sizes.keys; ++j) {
                const std::int64_t to = (j * step + 3) % sizes.keys;
                for (std::int64_t h = 0; h < call.shape.num_kv_heads; ++h) {
                    std::copy_n(call.key(0, h, j), call.shape.head_dim, permuted.key(0, h, to));
                    std::copy_n(call.value(0, h, j), call.shape.value_dim, permuted.value(0, h, to));
                }
                for (std::int64_t h = 0; h < call.shape.num_heads; ++h)
                    for (std::int64_t i = 0; i < sizes.queries; ++i) {
                        if (rules.mask) permuted.mask(0, h, i, to) = call.mask(0, h, i, j);
                        if (rules.bias) permuted.bias(0, h, i, to) = call.bias(0, h, i, j);
                    }
            }
            call.run();
            permuted.run();
            check_within_rounding(call, permuted);
        }
}

/// out and log_sum_exp over the union of the keys that a and b have seen, in double precision.
std::vector<double> merged(const VariantCall& call, const std::vector<float>& a, const std::vector<float>& b) {
    const auto rows = static_cast<std::size_t>(call.shape.num_heads * call.sequences[0].queries);
    const auto dim = static_cast<std::size_t>(call.shape.value_dim);
    std::vector<double> all(a.size());
    for (std::size_t row = 0; row < rows; ++row) {
        const double of_a = static_cast<double>(a[rows * dim + row]), of_b = static_cast<double>(b[rows * dim + row]);
        const double both = std::max(of_a, of_b) + std::log1p(std::exp(-std::abs(of_a - of_b)));
        const bool nothing = std::isinf(of_a) && std::isinf(of_b);
        all[rows * dim + row] = nothing ? of_a : both;
        for (std::size_t d = row * dim; d < (row + 1) * dim; ++d)
            all[d] =
                nothing ? 0 : std::exp(of_a - both) * static_cast<double>(a[d]) + std::exp(of_b - both) * static_cast<double>(b[d]);
    }
    return all;
}

template <class T>
TensorView<T, 4> with_keys(TensorView<T, 4> view, std::size_t axis, std::int64_t begin, std::int64_t end) {
    if (!view.data) return view;
    view.data += begin * view.stride[axis];
    view.extent[axis] = end - begin;
    return view;
}

/// The results of the call over the keys [begin, end) alone.
std::vector<float> part(VariantCall& call, std::int64_t begin, std::int64_t end, bool with_sinks) {
    const AttentionArguments whole = call.arguments;
    AttentionArguments& a = call.arguments;
    a.key = with_keys(whole.key, 2, begin, end);
    a.value = with_keys(whole.value, 2, begin, end);
    a.mask = with_keys(whole.mask, 3, begin, end);
    a.bias = with_keys(whole.bias, 3, begin, end);
    if (!with_sinks) a.sinks = {};
    call.run();
    a = whole;
    return call.results(0);
}

TEST_CASE("two calls over a part of the keys each, merged by their log_sum_exp, are one call over all") {
    for (const SequenceSizes& sizes : kSizes)
        for (const Variants& rules : kRules)
            for (const std::int64_t cut : {std::int64_t{0}, std::int64_t{1}, sizes.keys / 3, sizes.keys - 1, sizes.keys}) {
                VariantCall call(rules, {sizes});
                const std::vector<float> first = part(call, 0, cut, true), second = part(call, cut, sizes.keys, false);
                const std::vector<double> expected = merged(call, first, second);
                call.run();
                const Rounding rounding = allowed_rounding(call);
                check_results(call, expected, rounding + rounding);
            }
}

TEST_CASE("a constant added to all logits of a row changes its log_sum_exp alone") {
    for (const SequenceSizes& sizes : kSizes)
        for (const bool mask : {false, true}) {
            const VariantCall call({.name = "plain", .mask = mask}, {sizes});
            const VariantCall raised({.name = "raised", .bias = true, .mask = mask}, {sizes});
            const auto constant = [](std::int64_t h, std::int64_t i) {
                return static_cast<float>((h * 5 + i * 3) % 23 - 9) * 0.5f;
            };
            std::vector<double> rises;
            for (std::int64_t h = 0; h < call.shape.num_heads; ++h)
                for (std::int64_t i = 0; i < sizes.queries; ++i) {
                    rises.push_back(static_cast<double>(constant(h, i)));
                    for (std::int64_t j = 0; j < sizes.keys; ++j) raised.bias(0, h, i, j) = constant(h, i);
                }
            call.run();
            raised.run();
            std::vector<double> expected = widened(call.results(0));
            for (std::size_t row = 0; row < rises.size(); ++row) expected[expected.size() - rises.size() + row] += rises[row];
            check_results(raised, expected, allowed_rounding(call) + allowed_rounding(raised));
        }
}

TEST_CASE("values that are all alike come out as they are, whatever the weights") {
    for (const Variants& variants : all_variants()) {
        if (variants.sinks) continue;
        const VariantCall call(variants, {{20, 300, 5}});
        for (std::int64_t h = 0; h < call.shape.num_kv_heads; ++h)
            for (std::int64_t j = 0; j < 300; ++j)
                for (std::int64_t d = 0; d < call.shape.value_dim; ++d) call.value(0, h, j)[d] = static_cast<float>(d) + 0.3f;
        call.run();
        std::vector<double> expected = widened(call.results(0));
        for (std::int64_t h = 0, at = 0; h < call.shape.num_heads; ++h)
            for (std::int64_t i = 0; i < 20; ++i)
                for (std::int64_t d = 0; d < call.shape.value_dim; ++d)
                    expected[static_cast<std::size_t>(at++)] = static_cast<double>(static_cast<float>(d) + 0.3f);
        check_results(call, expected, allowed_rounding(call));
    }
}

}  // namespace
}  // namespace headwise::test
