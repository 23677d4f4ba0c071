#pragma once

#include <vector>

namespace headwise::tools {

/// A sample in three numbers: half of it lies between `low` and `high`.
struct Quartiles {
    double low = 0, median = 0, high = 0;
};

/// Linear interpolation between the order statistics; of an empty sample, zeros.
Quartiles quartiles(std::vector<double> sample);

}  // namespace headwise::tools
