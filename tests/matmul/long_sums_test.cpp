// Sums over a long k keep their digits: one f32 chain of 53,248 equal terms is off by up to 5e-4 of them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "headwise/headwise.hpp"

namespace headwise::test {
namespace {

/// The largest error of c, relative to `exact`.
double error_of(const std::vector<float>& c, double exact) {
    double error = 0;
    for (const float x : c) error = std::max(error, std::abs(static_cast<double>(x) / exact - 1));
    return error;
}

TEST_CASE("sums of many equal products are within 1e-5, whatever form b has and whatever becomes of the sums") {
    constexpr std::int64_t kRows = 7, kColumns = 20;
    for (const std::int64_t k : {1023, 1024, 1025, 2048, 5000, 53'248}) {
        CAPTURE(k);
        const auto depth = static_cast<std::size_t>(k);
        const std::vector<float> a(kRows * depth, 0.1f), b(kColumns * depth, 1.1f);
        std::vector<float> c(kRows * kColumns);
        const TensorView<const float, 2> left(a.data(), {kRows, k}), right(b.data(), {k, kColumns}),
            columns(b.data(), {k, kColumns}, {1, k});
        const TensorView<float, 2> out(c.data(), {kRows, kColumns});
        const double exact = static_cast<double>(k) * static_cast<double>(0.1f) * static_cast<double>(1.1f);
        matmul(left, right, out);
        CHECK(error_of(c, exact) <= 1e-5);
        matmul(left, columns, out);
        CHECK(error_of(c, exact) <= 1e-5);
        matmul(left, PackedMatrix(right), out);
        CHECK(error_of(c, exact) <= 1e-5);
        matmul(left, right, out, {.beta = 1});  // c waits to be read
        CHECK(error_of(c, 2 * exact) <= 1e-5);
    }
}

}  // namespace
}  // namespace headwise::test
