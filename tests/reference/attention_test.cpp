#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "headwise/reference.hpp"

namespace headwise::test {
namespace {

/// Attention whose keys are all 0, so that every allowed key has the same weight: out is the mean of the values 1, 10, 100, ...
/// that are seen.
template <class T>
std::vector<T> means(std::int64_t queries, std::int64_t keys, Causal causal) {
    std::vector<T> query(static_cast<std::size_t>(queries), 1), key(static_cast<std::size_t>(keys), 0), value,
        out(query.size(), -1);
    for (std::int64_t j = 0; j < keys; ++j) value.push_back(static_cast<T>(std::pow(10, j)));
    reference::attention<T>(bhsd<const T>(query.data(), 1, 1, queries, 1), bhsd<const T>(key.data(), 1, 1, keys, 1),
                            bhsd<const T>(value.data(), 1, 1, keys, 1), bhsd<T>(out.data(), 1, 1, queries, 1), {.causal = causal});
    return out;
}

template <class T>
void check_close(const std::vector<T>& result, const std::vector<double>& expected) {
    REQUIRE(result.size() == expected.size());
    for (std::size_t i = 0; i < result.size(); ++i)
        CHECK(static_cast<double>(result[i]) == doctest::Approx(expected[i]).epsilon(1e-6));
}

TEST_CASE_TEMPLATE("which keys a query sees", T, float, double) {
    check_close(means<T>(2, 3, Causal::none), {37, 37});
    check_close(means<T>(2, 3, Causal::top_left), {1, 5.5});
    check_close(means<T>(2, 3, Causal::bottom_right), {5.5, 37});
    check_close(means<T>(3, 2, Causal::top_left), {1, 5.5, 5.5});
    check_close(means<T>(3, 2, Causal::bottom_right), {0, 1, 5.5});
    check_close(means<T>(3, 3, Causal::top_left), {1, 5.5, 37});
    check_close(means<T>(3, 3, Causal::bottom_right), {1, 5.5, 37});
    check_close(means<T>(2, 0, Causal::none), {0, 0});
    check_close(means<T>(2, 0, Causal::bottom_right), {0, 0});
    check_close(means<T>(0, 3, Causal::top_left), {});
}

TEST_CASE_TEMPLATE("weights and default scale, worked out by hand", T, float, double) {
    // <q, k> = 0 and 2 ln 3; with scale 1/sqrt(4) the logits are 0 and ln 3, the weights 1/4 and 3/4.
    const auto part = static_cast<T>(std::log(3.0) / 2);
    const std::vector<T> query = {1, 1, 1, 1}, key = {0, 0, 0, 0, part, part, part, part}, value = {4, 0, 8, 16};
    std::vector<T> out(2);
    const auto run = [&](const AttentionOptions& options) {
        reference::attention<T>(bhsd<const T>(query.data(), 1, 1, 1, 4), bhsd<const T>(key.data(), 1, 1, 2, 4),
                                bhsd<const T>(value.data(), 1, 1, 2, 2), bhsd<T>(out.data(), 1, 1, 1, 2), options);
    };
    run({});
    check_close(out, {7, 12});
    run({.scale = 0.0f});
    check_close(out, {6, 8});
    run({.scale = -0.5f});  // logits 0 and -ln 3
    check_close(out, {5, 4});
}

TEST_CASE_TEMPLATE("query head h reads key/value head h / group, in any layout", T, float, double) {
    // Four query heads on two key/value heads, one key each: out is the value of the head that is read.
    const std::vector<T> query(4, 1), key(2, 1), value = {3, 5};
    std::vector<T> out(8, -1);
    reference::attention<T>(bshd<const T>(query.data(), 1, 1, 4, 1), bhsd<const T>(key.data(), 1, 2, 1, 1),
                            bhsd<const T>(value.data(), 1, 2, 1, 1), TensorView<T, 4>(out.data(), {1, 4, 1, 1}, {8, 2, 1, 1}));
    CHECK(out == std::vector<T>{3, -1, 3, -1, 5, -1, 5, -1});
}

TEST_CASE_TEMPLATE("a key that is not allowed is not read, whatever it holds", T, float, double) {
    const T nan = std::numeric_limits<T>::quiet_NaN();
    const std::vector<T> query = {1, 1}, key = {1, nan}, value = {7, nan};
    std::vector<T> out(2);
    reference::attention<T>(bhsd<const T>(query.data(), 1, 1, 2, 1), bhsd<const T>(key.data(), 1, 1, 2, 1),
                            bhsd<const T>(value.data(), 1, 1, 2, 1), bhsd<T>(out.data(), 1, 1, 2, 1), {.causal = Causal::top_left});
    CHECK(out[0] == 7);
    CHECK(std::isnan(out[1]));
}

TEST_CASE_TEMPLATE("without keys there need be no memory, whatever the strides", T, float, double) {
    const std::vector<T> query(4, 1);
    std::vector<T> out(4, -1);
    const TensorView<const T, 4> nothing(nullptr, {2, 2, 0, 1}, {8, 4, 2, 1});
    reference::attention<T>(bhsd<const T>(query.data(), 2, 2, 1, 1), nothing, nothing, bhsd<T>(out.data(), 2, 2, 1, 1));
    CHECK(out == std::vector<T>(4, 0));
}

}  // namespace
}  // namespace headwise::test
