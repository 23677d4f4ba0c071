#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "headwise/matmul.hpp"
#include "tests/support/accuracy.hpp"
#include "tests/support/strided_tensor.hpp"

namespace headwise::test {

/// Which of the three functions is called.
enum class Form { matrix, packed, batch };

enum class Residual { none, separate, c };

/// Everything that decides one product: sizes, options, memory layouts and, by the seed, the values.
struct MatmulCase {
    std::int64_t m = 1, n = 1, k = 1;
    std::int64_t batch = 1;  ///< other than 1 with Form::batch alone
    Form form = Form::matrix;
    bool a_transposed = false, b_transposed = false;  ///< stored [k, m], [n, k]
    Layout a{}, b{}, c{}, residual_layout{};          ///< of [batch, 1, rows, columns] as stored
    Guard guard = Guard::above;
    float alpha = 1, beta = 0;
    bool bias = false;
    Activation activation = Activation::none;
    Residual residual = Residual::none;
    int max_threads = 0;
    std::uint64_t seed = test_seed();

    std::string text() const;
};

/// What one call reads and writes, every tensor at an inaccessible page. Inputs are filled; c only where it is read: a NaN that is
/// left in it shows.
struct MatmulTensors {
    explicit MatmulTensors(const MatmulCase& c);

    TensorView<float, 3> a_view() const;  ///< [batch, m, k]
    TensorView<float, 3> b_view() const;  ///< [batch, k, n]
    TensorView<float, 3> c_view() const;  ///< [batch, m, n]
    MatmulOptions options() const;

    MatmulCase call;
    StridedTensor a, b, c, bias, residual;
};

void run_engine(const MatmulTensors& tensors);

/// What the engine makes of the tensors and what the naive float loops make of them, against the loops in double precision.
struct MatmulAccuracy {
    Accuracy engine, naive;
};
MatmulAccuracy measure_accuracy(const MatmulTensors& tensors);

/// Runs the engine on the values that the seed gives, after `prepare` has changed what it wants in the tensors. NaN, Inf and finite
/// values must be where the formula has them, the error within the contract, nothing written beyond the rows of c.
void check_matmul(const MatmulCase& c, const std::function<void(const MatmulTensors&)>& prepare = {});

/// The bits of c after a run, in the order of its elements.
std::vector<std::uint32_t> bits_of(const StridedTensor& c);
std::vector<std::uint32_t> bits_of_run(const MatmulCase& c);

}  // namespace headwise::test
