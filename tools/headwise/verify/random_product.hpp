#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "buffers/random_numbers.hpp"
#include "headwise/matmul.hpp"

namespace headwise::tools {

/// The sizes and layouts of a product drawn at random.
struct RandomProduct {
    std::int64_t m = 1, n = 1, k = 1;
    bool transpose_a = false, transpose_b = false, packed = false;

    explicit RandomProduct(RandomNumbers& random);

    TensorView<const float, 2> a(const std::vector<float>& values) const { return matrix(values, m, k, transpose_a); }
    TensorView<const float, 2> b(const std::vector<float>& values) const { return matrix(values, k, n, transpose_b); }

    /// c [m, n] by the engine, b packed first where `packed` says so.
    void run(const TensorView<const float, 2>& a, const TensorView<const float, 2>& b, std::vector<float>& c,
             const MatmulOptions& options) const;

    std::string text() const;  ///< for people

    /// `values` as [rows, columns]; transposed, they are stored [columns, rows].
    template <class T>
    static TensorView<const T, 2> matrix(const std::vector<T>& values, std::int64_t rows, std::int64_t columns, bool transposed) {
        if (!transposed) return {values.data(), {rows, columns}};
        return {values.data(), {rows, columns}, {1, rows}};
    }
};

/// Normally distributed.
std::vector<float> random_values(std::int64_t size, RandomNumbers& random);

}  // namespace headwise::tools
