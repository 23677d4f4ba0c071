// What is done to the sums before they are written: activation(alpha * sum + beta * c + bias) + residual.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "engine/kernels/kernel_table.hpp"
#include "headwise/reference.hpp"
#include "tests/matmul/matmul_case.hpp"

namespace headwise::test {
namespace {

constexpr Activation kActivations[] = {Activation::none, Activation::relu, Activation::silu, Activation::gelu_erf,
                                       Activation::gelu_tanh};
constexpr Residual kResiduals[] = {Residual::none, Residual::separate, Residual::c};

/// More than one panel, the last one partial.
std::int64_t columns() {
    return kernel_table(active_isa()).matmul.tile_columns + 7;
}

TEST_CASE("every combination of alpha, beta, bias, activation and residual") {
    for (const float alpha : {1.0f, -0.5f, 0.0f})
        for (const float beta : {0.0f, 1.0f, 0.25f})
            for (const bool bias : {false, true})
                for (const Activation activation : kActivations)
                    for (const Residual residual : kResiduals)
                        for (const Form form : {Form::matrix, Form::packed})
                            check_matmul({.m = 8,
                                          .n = columns(),
                                          .k = 9,
                                          .form = form,
                                          .guard = bias ? Guard::above : Guard::below,
                                          .alpha = alpha,
                                          .beta = beta,
                                          .bias = bias,
                                          .activation = activation,
                                          .residual = residual});
}

TEST_CASE("every number of columns up to past two panels") {
    for (std::int64_t n = 1; n <= 2 * kernel_table(active_isa()).matmul.tile_columns + 1; ++n)
        for (const Guard guard : {Guard::above, Guard::below})
            check_matmul({.m = 7,
                          .n = n,
                          .k = 3,
                          .guard = guard,
                          .beta = 0.5f,
                          .bias = true,
                          .activation = kActivations[n % 5],
                          .residual = kResiduals[n % 3]});
}

TEST_CASE("sums too deep for one block: c is kept until the epilogue reads it") {
    for (const std::int64_t k : {1025, 2100})
        for (const float beta : {0.0f, 1.0f})
            for (const Residual residual : kResiduals)
                for (const Form form : {Form::matrix, Form::packed})
                    for (const bool transposed : {false, true})
                        check_matmul({.m = 7,
                                      .n = columns(),
                                      .k = k,
                                      .form = form,
                                      .a_transposed = transposed,
                                      .b_transposed = transposed,
                                      .alpha = 0.1f,
                                      .beta = beta,
                                      .bias = true,
                                      .activation = Activation::silu,
                                      .residual = residual});
}

TEST_CASE("a residual of one row may be c whatever its row stride says") {
    const float a[] = {2}, b[] = {3, 4};
    float c[] = {10, 20};
    MatmulOptions options;
    options.epilogue.residual = {c, {1, 2}, {-5, 1}};
    matmul(TensorView<const float, 2>(a, {1, 1}), TensorView<const float, 2>(b, {1, 2}), TensorView<float, 2>(c, {1, 2}), options);
    CHECK(c[0] == 16);
    CHECK(c[1] == 28);
}

TEST_CASE("a residual with its own layout") {
    for (const std::int64_t gap : {0, 1, 13})
        for (const bool backwards : {false, true})
            for (const Guard guard : {Guard::above, Guard::below}) {
                MatmulCase c{.m = 15, .n = columns(), .k = 4, .guard = guard, .residual = Residual::separate};
                c.residual_layout.gap[2] = gap;
                c.residual_layout.backwards[2] = backwards;
                c.c.gap[2] = 2 * gap;
                check_matmul(c);
            }
}

/// The activation of `inputs` by a product with 1.
Accuracy accuracy_of(Activation activation, const std::vector<float>& inputs, Accuracy& naive) {
    const auto count = static_cast<std::int64_t>(inputs.size());
    const float one = 1;
    PlainTensor<float> result({1, 1, 1, count}), plain({1, 1, 1, count});
    PlainTensor<double> expected({1, 1, 1, count});
    MatmulOptions options;
    options.epilogue.activation = activation;
    matmul(TensorView<const float, 2>(&one, {1, 1}), TensorView<const float, 2>(inputs.data(), {1, count}),
           TensorView<float, 2>(result.data.data(), {1, count}), options);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        expected.data[i] = reference::activate(activation, static_cast<double>(inputs[i]));
        plain.data[i] = reference::activate(activation, inputs[i]);
    }
    naive = compare(plain.view, expected.view);
    return compare(result.view, expected.view);
}

TEST_CASE("each activation is as exact as the plain one, in every piece of its range") {
    // Piece by piece, so that the large values at one end do not hide errors in the small ones at the other.
    for (const Activation activation : kActivations)
        for (int piece = -110; piece < 110; ++piece) {
            std::vector<float> inputs;
            for (int i = 0; i <= 1000; ++i) inputs.push_back(static_cast<float>(piece) + static_cast<float>(i) / 1000);
            Accuracy naive;
            const Accuracy engine = accuracy_of(activation, inputs, naive);
            INFO("activation ", static_cast<int>(activation), " from ", piece);
            CHECK_MESSAGE(engine.wrong_class == 0, engine.first_wrong);
            // Where 1 + erf and 1 + tanh cancel, the reference in double has an error of its own, and the plain one may have none.
            const double of_reference = 0x1p-53 * (std::abs(piece) + 1);
            CHECK_MESSAGE(engine.max_error <= allowed_error(naive) + of_reference, engine.max_error, " against ", naive.max_error,
                          ": ", engine.worst);
        }
}

TEST_CASE("activations of tiny and huge numbers") {
    for (const Activation activation : kActivations)
        for (float size = 1e-37f; size < 1e37f; size *= 3) {
            Accuracy naive;
            for (const float x : {size, -size}) {
                const Accuracy engine = accuracy_of(activation, std::vector<float>(5, x), naive);
                INFO("activation ", static_cast<int>(activation), " of ", x);
                CHECK_MESSAGE(engine.wrong_class == 0, engine.first_wrong);
                CHECK_MESSAGE(engine.max_error <= allowed_error(naive), engine.worst);
            }
        }
}

}  // namespace
}  // namespace headwise::test
