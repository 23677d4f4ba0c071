#pragma once

namespace headwise {

enum class Activation {
    none,
    relu,       ///< max(x, 0)
    silu,       ///< x / (1 + exp(-x))
    gelu_erf,   ///< x/2 (1 + erf(x / sqrt 2)): PyTorch's default GELU
    gelu_tanh,  ///< x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
};

}  // namespace headwise
