#include <cmath>
#include <numbers>
#include <string>

#include "headwise/error.hpp"
#include "headwise/reference.hpp"

namespace headwise::reference {

template <class T>
T activate(Activation activation, T x) {
    constexpr T kSqrtHalf = std::numbers::sqrt2_v<T> / 2;
    constexpr T kSqrtTwoOverPi = std::numbers::sqrt2_v<T> * std::numbers::inv_sqrtpi_v<T>;
    switch (activation) {
        case Activation::none: return x;
        case Activation::relu: return x < 0 ? 0 : x;  // this way round a NaN stays one
        case Activation::silu: return x / (1 + std::exp(-x));
        case Activation::gelu_erf: return x / 2 * (1 + std::erf(x * kSqrtHalf));
        case Activation::gelu_tanh: return x / 2 * (1 + std::tanh(kSqrtTwoOverPi * (x + T(0.044715) * x * x * x)));
    }
    throw Error("activation is " + std::to_string(static_cast<int>(activation)) + ": not a value of Activation");
}

template float activate(Activation, float);
template double activate(Activation, double);

}  // namespace headwise::reference
