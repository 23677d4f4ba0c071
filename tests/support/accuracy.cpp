#include "tests/support/accuracy.hpp"

#include <cmath>

#include "tests/support/strided_tensor.hpp"

namespace headwise::test {
namespace {

/// 0 finite, 1 +Inf, 2 -Inf, 3 NaN.
int class_of(double x) {
    if (std::isnan(x)) return 3;
    if (std::isinf(x)) return x > 0 ? 1 : 2;
    return 0;
}

std::string describe(std::int64_t b, std::int64_t h, std::int64_t s, std::int64_t d, double result, double expected) {
    return "[" + std::to_string(b) + "," + std::to_string(h) + "," + std::to_string(s) + "," + std::to_string(d) + "] is " +
           std::to_string(result) + ", expected " + std::to_string(expected);
}

}  // namespace

void Accuracy::add(const Accuracy& other) {
    if (wrong_class == 0) first_wrong = other.first_wrong;
    wrong_class += other.wrong_class;
    if (other.max_error > max_error) worst = other.worst;
    max_error = std::max(max_error, other.max_error);
    largest = std::max(largest, other.largest);
}

Accuracy compare(const TensorView<const float, 4>& result, const TensorView<const double, 4>& expected) {
    Accuracy accuracy;
    for_each_element(expected.extent, [&](auto... index) {
        const double r = static_cast<double>(element(result, index...)), e = element(expected, index...);
        if (class_of(r) != class_of(e)) {
            if (accuracy.wrong_class++ == 0) accuracy.first_wrong = describe(index..., r, e);
        } else if (class_of(e) == 0) {
            accuracy.largest = std::max(accuracy.largest, std::abs(e));
            if (std::abs(r - e) > accuracy.max_error) {
                accuracy.max_error = std::abs(r - e);
                accuracy.worst = describe(index..., r, e);
            }
        }
    });
    return accuracy;
}

double allowed_error(const Accuracy& naive) {
    return 2 * naive.max_error + 4 * 0x1p-24 * naive.largest;
}

}  // namespace headwise::test
