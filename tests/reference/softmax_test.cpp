#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "headwise/reference.hpp"

namespace headwise::test {
namespace {

TEST_CASE_TEMPLATE("rows worked out by hand", T, float, double) {
    const auto ln = [](double x) { return static_cast<T>(std::log(x)); };
    std::vector<T> x = {0, ln(3), 9, ln(2), ln(2), 9};  // two rows of two, and a gap
    reference::softmax(TensorView<T, 2>(x.data(), {2, 2}, {3, 1}));
    CHECK(x[0] == doctest::Approx(0.25));
    CHECK(x[1] == doctest::Approx(0.75));
    CHECK(x[3] == T(0.5));
    CHECK(x[4] == T(0.5));
    CHECK(x[2] == 9);
    CHECK(x[5] == 9);
}

TEST_CASE_TEMPLATE("large logits do not overflow; -Inf has no weight; a row of -Inf, a NaN or +Inf gives NaN", T, float, double) {
    constexpr T kInf = std::numeric_limits<T>::infinity(), kNan = std::numeric_limits<T>::quiet_NaN();
    const auto row = [](std::vector<T> x) {
        reference::softmax(TensorView<T, 2>(x.data(), {1, static_cast<std::int64_t>(x.size())}));
        return x;
    };
    CHECK(row({10000, 10000}) == std::vector<T>{T(0.5), T(0.5)});
    CHECK(row({-10000, 10000}) == std::vector<T>{0, 1});
    CHECK(row({-kInf, 5}) == std::vector<T>{0, 1});
    for (const std::vector<T>& x : {std::vector<T>{-kInf, -kInf}, {1, kNan}, {kNan, 1}, {kInf, 1}})
        for (const T weight : row(x)) CHECK((std::isnan(weight) || x[0] == kInf));
    CHECK(row({}).empty());
}

}  // namespace
}  // namespace headwise::test
