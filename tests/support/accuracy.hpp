#pragma once

#include <cstdint>
#include <string>

#include "headwise/tensor.hpp"

namespace headwise::test {

/// How a float result compares with the same computation in double precision.
struct Accuracy {
    double max_error = 0;          ///< largest |result - expected| where both are finite
    double largest = 0;            ///< largest finite |expected|
    std::int64_t wrong_class = 0;  ///< elements of which just one is NaN, +Inf, -Inf or finite, or which are so in different ways
    std::string first_wrong;       ///< the first of them, for the message
    std::string worst;             ///< where max_error is

    /// Takes in another comparison of the same kind.
    void add(const Accuracy& other);
};

Accuracy compare(const TensorView<const float, 4>& result, const TensorView<const double, 4>& expected);

/// The contract: an error of at most twice that of the naive float loops. Results so small a sample that the naive error is 0 by
/// luck (a single key, powers of two) may differ in their last places.
double allowed_error(const Accuracy& naive);

}  // namespace headwise::test
