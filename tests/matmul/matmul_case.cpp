#include "tests/matmul/matmul_case.hpp"

#include <doctest/doctest.h>

#include <bit>

#include "engine/matmul/layout.hpp"
#include "headwise/reference.hpp"

namespace headwise::test {
namespace {

/// [batch, 1, rows, columns] as stored -> [batch, rows, columns], or the transposes.
template <class T>
TensorView<T, 3> matrices(const TensorView<T, 4>& x, bool transpose) {
    const std::size_t row = transpose ? 3 : 2, column = transpose ? 2 : 3;
    return {x.data, {x.extent[0], x.extent[row], x.extent[column]}, {x.stride[0], x.stride[row], x.stride[column]}};
}

StridedTensor::Extents stored(std::int64_t batch, std::int64_t rows, std::int64_t columns, bool transpose) {
    return {batch, 1, transpose ? columns : rows, transpose ? rows : columns};
}

/// The textbook formula, one step after the other, in T. `c` holds what was there before.
template <class T>
void run_naive(const MatmulCase& call, const TensorView<const T, 3>& a, const TensorView<const T, 3>& b, const TensorView<T, 3>& c,
               const TensorView<T, 4>& bias, const TensorView<T, 4>& residual) {
    for (std::int64_t i = 0; i < call.batch; ++i) {
        const TensorView<T, 2> product = matrix(c, i);
        std::vector<T> before(product.data, product.data + call.m * call.n);
        reference::matmul<T>(matrix(a, i), matrix(b, i), product, static_cast<T>(call.alpha), static_cast<T>(call.beta));
        for (std::int64_t row = 0; row < call.m; ++row)
            for (std::int64_t column = 0; column < call.n; ++column) {
                T& x = product.data[row * call.n + column];
                if (call.bias) x += element(bias, 0, 0, 0, column);
                x = reference::activate(call.activation, x);
                if (call.residual == Residual::separate) x += element(residual, 0, 0, row, column);
                if (call.residual == Residual::c) x += before[static_cast<std::size_t>(row * call.n + column)];
            }
    }
}

PlainTensor<float> copied(const TensorView<const float, 4>& x) {
    PlainTensor<float> copy(x.extent);
    for_each_element(x.extent, [&](auto... index) { element(copy.view, index...) = element(x, index...); });
    return copy;
}

void check_accuracy(const MatmulAccuracy& accuracy) {
    const auto& [engine, naive] = accuracy;
    CHECK_MESSAGE(engine.wrong_class == 0, engine.first_wrong);
    CHECK_MESSAGE(engine.max_error <= allowed_error(naive), "error ", engine.max_error, ", of the naive loops ", naive.max_error,
                  ", largest value ", engine.largest, "; ", engine.worst);
}

}  // namespace

std::string MatmulCase::text() const {
    constexpr const char* kForms[] = {"matrix", "packed", "batch"};
    constexpr const char* kResiduals[] = {"none", "separate", "c"};
    const auto operand = [](const char* name, const Layout& layout, bool transpose) {
        return std::string(" ") + name + " " + layout.text() + (transpose ? " transposed" : "");
    };
    return std::string(kForms[static_cast<int>(form)]) + " batch=" + std::to_string(batch) + ",m=" + std::to_string(m) +
           ",n=" + std::to_string(n) + ",k=" + std::to_string(k) + ",alpha=" + std::to_string(alpha) +
           ",beta=" + std::to_string(beta) + ",bias=" + std::to_string(bias) +
           ",activation=" + std::to_string(static_cast<int>(activation)) + ",residual=" + kResiduals[static_cast<int>(residual)] +
           ",max_threads=" + std::to_string(max_threads) + operand("a", a, a_transposed) + operand("b", b, b_transposed) +
           operand("c", c, false) + operand("residual", residual_layout, false) +
           (guard == Guard::above ? " guard above" : " guard below") + "\n" + reproduction(seed);
}

MatmulTensors::MatmulTensors(const MatmulCase& c_)
    : call(c_),
      a(stored(call.batch, call.m, call.k, call.a_transposed), call.a, call.guard),
      b(stored(call.batch, call.k, call.n, call.b_transposed), call.b, call.guard),
      c(stored(call.batch, call.m, call.n, false), call.c, call.guard),
      bias({1, 1, 1, call.bias ? call.n : 0}, {}, call.guard),
      residual({1, 1, call.m, call.residual == Residual::separate ? call.n : 0}, call.residual_layout, call.guard) {
    RandomNumbers random(call.seed);
    for (StridedTensor* input : {&a, &b, &bias, &residual}) input->fill_normal(random, 1);
    if (call.beta != 0 || call.residual == Residual::c) c.fill_normal(random, 1);
}

TensorView<float, 3> MatmulTensors::a_view() const {
    return matrices(a.view(), call.a_transposed);
}
TensorView<float, 3> MatmulTensors::b_view() const {
    return matrices(b.view(), call.b_transposed);
}
TensorView<float, 3> MatmulTensors::c_view() const {
    return matrices(c.view(), false);
}

MatmulOptions MatmulTensors::options() const {
    MatmulOptions options{.alpha = call.alpha, .beta = call.beta, .epilogue = {}, .max_threads = call.max_threads};
    options.epilogue.activation = call.activation;
    if (call.bias) options.epilogue.bias = bias.view().data;
    if (call.residual == Residual::separate) options.epilogue.residual = matrix(matrices(residual.view(), false), 0);
    if (call.residual == Residual::c) options.epilogue.residual = matrix(c_view(), 0);
    return options;
}

void run_engine(const MatmulTensors& tensors) {
    const TensorView<const float, 3> a = tensors.a_view(), b = tensors.b_view();
    const TensorView<float, 3> c = tensors.c_view();
    switch (tensors.call.form) {
        case Form::matrix: matmul(matrix(a, 0), matrix(b, 0), matrix(c, 0), tensors.options()); break;
        case Form::packed: matmul(matrix(a, 0), PackedMatrix(matrix(b, 0)), matrix(c, 0), tensors.options()); break;
        case Form::batch: matmul(a, b, c, tensors.options()); break;
    }
}

MatmulAccuracy measure_accuracy(const MatmulTensors& tensors) {
    const MatmulCase& call = tensors.call;
    const PlainTensor<double> a = widened(tensors.a.view()), b = widened(tensors.b.view()), bias = widened(tensors.bias.view()),
                              residual = widened(tensors.residual.view()), expected = widened(tensors.c.view());
    const PlainTensor<float> naive = copied(tensors.c.view());
    run_engine(tensors);
    run_naive<double>(call, matrices<const double>(a.view, call.a_transposed), matrices<const double>(b.view, call.b_transposed),
                      matrices(expected.view, false), bias.view, residual.view);
    run_naive<float>(call, tensors.a_view(), tensors.b_view(), matrices(naive.view, false), tensors.bias.view(),
                     tensors.residual.view());
    return {compare(tensors.c.view(), expected.view), compare(naive.view, expected.view)};
}

void check_matmul(const MatmulCase& c, const std::function<void(const MatmulTensors&)>& prepare) {
    INFO(c.text());
    const auto measure = [&](std::uint64_t seed) {
        MatmulCase draw = c;
        draw.seed = seed;
        const MatmulTensors tensors(draw);
        if (prepare) prepare(tensors);
        const MatmulAccuracy accuracy = measure_accuracy(tensors);
        CHECK_MESSAGE(tensors.c.gaps_untouched(), "written between the rows of c");
        return accuracy;
    };
    MatmulAccuracy accuracy = measure(c.seed);
    // A handful of sums may come out of the naive loops nearly exact by luck. More draws of the same case then tell luck from a
    // fault.
    constexpr std::uint64_t kMoreDraws = 63;
    for (std::uint64_t i = 1; i <= kMoreDraws && accuracy.engine.max_error > allowed_error(accuracy.naive); ++i) {
        const MatmulAccuracy another = measure(c.seed + i);
        accuracy.engine.add(another.engine);
        accuracy.naive.add(another.naive);
    }
    check_accuracy(accuracy);
}

std::vector<std::uint32_t> bits_of(const StridedTensor& c) {
    std::vector<std::uint32_t> bits;
    for_each_element(c.view().extent, [&](auto... index) { bits.push_back(std::bit_cast<std::uint32_t>(c.at(index...))); });
    return bits;
}

std::vector<std::uint32_t> bits_of_run(const MatmulCase& c) {
    const MatmulTensors tensors(c);
    run_engine(tensors);
    return bits_of(tensors.c);
}

}  // namespace headwise::test
