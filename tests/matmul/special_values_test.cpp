// NaN and Inf go where the formula has them, and nowhere else; small numbers are not flushed to 0.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "engine/kernels/kernel_table.hpp"
#include "tests/matmul/matmul_case.hpp"

namespace headwise::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

MatmulCase call(Form form, bool transposed) {
    return {.m = 8,
            .n = kernel_table(active_isa()).matmul.tile_columns + 3,
            .k = 6,
            .form = form,
            .a_transposed = transposed,
            .b_transposed = transposed};
}

/// The element of a matrix, of which the tensor may hold the transpose.
float& at(const StridedTensor& x, bool transposed, std::int64_t row, std::int64_t column) {
    return transposed ? x.at(0, 0, column, row) : x.at(0, 0, row, column);
}

template <class Body>
void for_each_call(const Body& body) {
    for (const Form form : {Form::matrix, Form::packed, Form::batch})
        for (const bool transposed : {false, true}) body(call(form, transposed));
}

TEST_CASE("a NaN or Inf anywhere in a reaches its row and no other") {
    for_each_call([](const MatmulCase& c) {
        for (std::int64_t i = 0; i < c.m; ++i)
            for (std::int64_t p = 0; p < c.k; ++p)
                for (const float value : {kNan, kInf, -kInf})
                    check_matmul(c, [&](const MatmulTensors& t) { at(t.a, c.a_transposed, i, p) = value; });
    });
}

TEST_CASE("a NaN or Inf anywhere in b reaches its column and no other") {
    for_each_call([](const MatmulCase& c) {
        for (std::int64_t j = 0; j < c.n; ++j)
            check_matmul(c, [&](const MatmulTensors& t) { at(t.b, c.b_transposed, j % c.k, j) = j % 3 ? kNan : -kInf; });
    });
}

TEST_CASE("Inf * 0, Inf - Inf and 0 * NaN are NaN, wherever in the sum they are met") {
    for_each_call([](const MatmulCase& c) {
        for (std::int64_t p = 0; p < c.k; ++p) {
            check_matmul(c, [&](const MatmulTensors& t) {
                at(t.a, c.a_transposed, 2, p) = kInf;
                at(t.b, c.b_transposed, p, 1) = 0;
            });
            check_matmul(c, [&](const MatmulTensors& t) {
                at(t.a, c.a_transposed, 7, p) = 0;
                at(t.b, c.b_transposed, p, c.n - 1) = kNan;
            });
            check_matmul(c, [&](const MatmulTensors& t) {
                at(t.a, c.a_transposed, 5, p) = kInf;
                at(t.a, c.a_transposed, 5, (p + 1) % c.k) = kInf;
                at(t.b, c.b_transposed, p, 3) = 1;
                at(t.b, c.b_transposed, (p + 1) % c.k, 3) = -1;
            });
        }
    });
}

TEST_CASE("NaN and Inf in c, bias and residual reach their elements alone") {
    for (const float value : {kNan, kInf, -kInf})
        for (const Activation activation : {Activation::none, Activation::relu}) {
            MatmulCase c = call(Form::matrix, false);
            c.activation = activation;
            c.beta = 1;
            check_matmul(c, [&](const MatmulTensors& t) { t.c.at(0, 0, 3, c.n - 1) = value; });
            c.beta = 0;
            c.bias = true;
            check_matmul(c, [&](const MatmulTensors& t) { t.bias.at(0, 0, 0, c.n - 2) = value; });
            c.residual = Residual::separate;
            check_matmul(c, [&](const MatmulTensors& t) { t.residual.at(0, 0, 7, 2) = value; });
            c.residual = Residual::c;
            check_matmul(c, [&](const MatmulTensors& t) { t.c.at(0, 0, 1, 1) = value; });
        }
}

TEST_CASE("activations of NaN and Inf are what the formula says") {
    // In the limit the negative end of silu and both GELU is 0, but the formula has 0 * -Inf there.
    for (const Activation activation : {Activation::relu, Activation::silu, Activation::gelu_erf, Activation::gelu_tanh})
        for (const float value : {kNan, kInf, -kInf}) {
            MatmulCase c = call(Form::matrix, false);
            c.activation = activation;
            c.bias = true;
            check_matmul(c, [&](const MatmulTensors& t) { t.bias.at(0, 0, 0, 4) = value; });
        }
}

TEST_CASE("with alpha = 0 a NaN in a or b does not matter, with beta = 0 one in c does not") {
    for (const Form form : {Form::matrix, Form::packed, Form::batch})
        for (const float beta : {0.0f, 1.0f}) {
            MatmulCase c = call(form, false);
            c.alpha = 0;
            c.beta = beta;
            c.bias = true;
            check_matmul(c, [&](const MatmulTensors& t) {
                t.a.at(0, 0, 0, 0) = kNan;
                if (form != Form::packed) t.b.at(0, 0, 0, 0) = kInf;
            });
        }
    MatmulCase c = call(Form::matrix, false);
    c.alpha = 0;
    const MatmulTensors tensors(c);  // c is full of NaN
    REQUIRE(std::isnan(tensors.c.at(0, 0, 0, 0)));
    run_engine(tensors);
    for_each_element(tensors.c.view().extent, [&](auto... index) { CHECK(tensors.c.at(index...) == 0); });
}

TEST_CASE("with alpha = 0 neither a nor b is read: they may be null, or what is written") {
    std::vector<float> c(12, 3.0f);
    const TensorView<const float, 2> a(nullptr, {3, 5}), b(nullptr, {5, 4}), over_c(c.data(), {3, 3});
    const TensorView<float, 2> out(c.data(), {3, 4});
    matmul(a, b, out, {.alpha = 0, .beta = 2});
    CHECK(c == std::vector<float>(12, 6.0f));
    matmul(over_c, TensorView<const float, 2>(c.data(), {3, 4}), out, {.alpha = 0, .beta = 0.5f});
    CHECK(c == std::vector<float>(12, 3.0f));

    // More rows and columns than a tile, a panel or an item of work has.
    std::vector<float> large(std::size_t{700} * 900, 3.0f);
    matmul(TensorView<const float, 2>(nullptr, {700, 500}), TensorView<const float, 2>(nullptr, {500, 900}),
           TensorView<float, 2>(large.data(), {700, 900}), {.alpha = 0, .beta = 2});
    CHECK(large == std::vector<float>(large.size(), 6.0f));
}

TEST_CASE("a sum beyond the range of float is Inf") {
    const float a[] = {3e38f, 3e38f}, b[] = {1, -1, 1, -1};
    float c[2] = {};
    matmul(TensorView<const float, 2>(a, {1, 2}), TensorView<const float, 2>(b, {2, 2}), TensorView<float, 2>(c, {1, 2}));
    CHECK(c[0] == kInf);
    CHECK(c[1] == -kInf);
}

TEST_CASE("subnormal numbers are kept") {
    const std::int64_t n = kernel_table(active_isa()).matmul.tile_columns + 1;
    const float least = std::numeric_limits<float>::denorm_min(), one = 1;
    std::vector<float> b(static_cast<std::size_t>(n)), c(b.size());
    for (std::size_t j = 0; j < b.size(); ++j) b[j] = static_cast<float>(j + 1) * least;
    matmul(TensorView<const float, 2>(&one, {1, 1}), TensorView<const float, 2>(b.data(), {1, n}),
           TensorView<float, 2>(c.data(), {1, n}));
    CHECK(c == b);
    matmul(TensorView<const float, 2>(&least, {1, 1}), PackedMatrix(TensorView<const float, 2>(&one, {1, 1})),
           TensorView<float, 2>(c.data(), {1, 1}));
    CHECK(c[0] == least);
}

}  // namespace
}  // namespace headwise::test
