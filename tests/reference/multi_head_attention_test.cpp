#include <doctest/doctest.h>

#include <vector>

#include "headwise/reference.hpp"

namespace headwise::test {
namespace {

template <class T>
TensorView<const T, 2> matrix(const std::vector<T>& data, std::int64_t rows, std::int64_t columns) {
    return {data.data(), {rows, columns}};
}

TEST_CASE_TEMPLATE("projections, heads side by side and the output projection, worked out by hand", T, float, double) {
    // Two heads of dimension 1. The query weights are 0, so that all keys weigh the same and a head is the mean of its values.
    const std::vector<T> x = {1, 2, 3, 4};  // two tokens of dimension 2
    const std::vector<T> zero = {0, 0, 0, 0}, identity = {1, 0, 0, 1}, output = {1, 0, 0, 10, 1, 1}, value_bias = {0, 1},
                         output_bias = {0, 0, 0.5};
    std::vector<T> out(6);
    const reference::MultiHeadWeights<T> weights{.query = matrix(zero, 2, 2),
                                                 .key = matrix(identity, 2, 2),
                                                 .value = matrix(identity, 2, 2),
                                                 .output = matrix(output, 3, 2),
                                                 .value_bias = value_bias.data(),
                                                 .output_bias = output_bias.data()};
    const TensorView<const T, 3> tokens(x.data(), {1, 2, 2});
    reference::multi_head_attention<T>(tokens, tokens, 2, 2, weights, TensorView<T, 3>(out.data(), {1, 2, 3}));
    CHECK(out == std::vector<T>{2, 40, 6.5, 2, 40, 6.5});  // heads: (1 + 3) / 2 = 2, (2 + 4) / 2 + 1 = 4

    reference::multi_head_attention<T>(tokens, tokens, 2, 2, weights, TensorView<T, 3>(out.data(), {1, 2, 3}),
                                       {.causal = Causal::top_left});
    CHECK(out == std::vector<T>{1, 30, 4.5, 2, 40, 6.5});  // the first token sees itself alone
}

TEST_CASE_TEMPLATE("queries from one sequence, keys and values from a longer one of another dimension; one key/value head for two",
                   T, float, double) {
    const std::vector<T> x = {5}, context = {1, 2, 3, 4, 5, 9};  // one token of dimension 1; three of dimension 2
    const std::vector<T> query = {0, 0}, key = {1, 1}, value = {1, 1}, output = {1, 1};
    std::vector<T> out(1);
    const reference::MultiHeadWeights<T> weights{
        .query = matrix(query, 2, 1), .key = matrix(key, 1, 2), .value = matrix(value, 1, 2), .output = matrix(output, 1, 2)};
    reference::multi_head_attention<T>(TensorView<const T, 3>(x.data(), {1, 1, 1}),
                                       TensorView<const T, 3>(context.data(), {1, 3, 2}), 2, 1, weights,
                                       TensorView<T, 3>(out.data(), {1, 1, 1}));
    CHECK(static_cast<double>(out[0]) == doctest::Approx(16));  // both heads: (3 + 7 + 14) / 3
}

}  // namespace
}  // namespace headwise::test
