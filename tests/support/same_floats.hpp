#pragma once

#include <vector>

namespace headwise::test {

/// Equal element by element; 0 and -0 are, and NaN equals NaN.
bool same_values(const std::vector<float>& a, const std::vector<float>& b);
bool same_bits(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace headwise::test
