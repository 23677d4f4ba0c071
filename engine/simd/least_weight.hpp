#pragma once

namespace headwise {

/// Weights of a softmax below 2^-100 are 0. They are compared with one of at least 1, so that all of a million of them would not
/// show; as denormal numbers, or multiplied by values into such, they are slow on some processors (docs/numerics.md).
inline constexpr float kLeastWeightLog2 = -100.0f;

}  // namespace headwise
