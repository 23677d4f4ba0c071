#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "headwise/reference.hpp"

namespace headwise::test {
namespace {

TEST_CASE_TEMPLATE("a product worked out by hand, with alpha and beta", T, float, double) {
    const std::vector<T> a = {1, 2, 3, 4, 5, 6};     // [2, 3]
    const std::vector<T> b = {7, 8, 9, 10, 11, 12};  // [3, 2]
    std::vector<T> c = {1, 1, 1, 1};
    const TensorView<const T, 2> a_view(a.data(), {2, 3}), b_view(b.data(), {3, 2});
    const TensorView<T, 2> c_view(c.data(), {2, 2});
    reference::matmul(a_view, b_view, c_view);
    CHECK(c == std::vector<T>{58, 64, 139, 154});
    reference::matmul(a_view, b_view, c_view, T{2}, T{-1});
    CHECK(c == std::vector<T>{58, 64, 139, 154});  // 2 * product - product
}

TEST_CASE_TEMPLATE("transposed and strided operands", T, float, double) {
    const std::vector<T> a = {1, 4, 2, 5, 3, 6};                       // [3, 2], the transpose of [2, 3]
    const std::vector<T> b = {7, 0, 8, 0, 9, 0, 10, 0, 11, 0, 12, 0};  // every other element
    std::vector<T> c(4);
    reference::matmul(transposed(TensorView<const T, 2>(a.data(), {3, 2})), TensorView<const T, 2>(b.data(), {3, 2}, {4, 2}),
                      TensorView<T, 2>(c.data(), {2, 2}));
    CHECK(c == std::vector<T>{58, 64, 139, 154});
}

TEST_CASE_TEMPLATE("beta = 0 does not read c; an empty sum is 0", T, float, double) {
    std::vector<T> c(2, std::numeric_limits<T>::quiet_NaN());
    const T a = 3, b[] = {4, 5};
    reference::matmul(TensorView<const T, 2>(&a, {1, 1}), TensorView<const T, 2>(b, {1, 2}), TensorView<T, 2>(c.data(), {1, 2}));
    CHECK(c == std::vector<T>{12, 15});
    reference::matmul(TensorView<const T, 2>(nullptr, {1, 0}), TensorView<const T, 2>(nullptr, {0, 2}),
                      TensorView<T, 2>(c.data(), {1, 2}));
    CHECK(c == std::vector<T>{0, 0});
}

TEST_CASE_TEMPLATE("activations at known points", T, float, double) {
    const T eps = 4 * std::numeric_limits<T>::epsilon();
    const auto close = [eps](T x, double expected) {
        return std::abs(static_cast<double>(x) - expected) <= static_cast<double>(eps);
    };
    CHECK(reference::activate<T>(Activation::none, -3) == -3);
    CHECK(reference::activate<T>(Activation::relu, -3) == 0);
    CHECK(reference::activate<T>(Activation::relu, 3) == 3);
    CHECK(std::isnan(reference::activate<T>(Activation::relu, std::numeric_limits<T>::quiet_NaN())));
    CHECK(close(reference::activate<T>(Activation::silu, 1), 0.73105857863000490));
    CHECK(close(reference::activate<T>(Activation::gelu_erf, 1), 0.84134474606854293));
    CHECK(close(reference::activate<T>(Activation::gelu_erf, -1), -0.15865525393145707));
    CHECK(close(reference::activate<T>(Activation::gelu_tanh, 1), 0.84119199060827700));
    for (const Activation each : {Activation::relu, Activation::silu, Activation::gelu_erf, Activation::gelu_tanh})
        CHECK(reference::activate<T>(each, 0) == 0);
}

}  // namespace
}  // namespace headwise::test
