#pragma once

#include <algorithm>
#include <cstdint>

#include "cases/case.hpp"

namespace headwise::tools {

/// Rows at the end of the last sequence that the naive loops compute. They need the keys and values of the whole sequence besides,
/// which is most of the work and cannot be sampled.
inline std::int64_t layer_check_rows(const LayerCase& c) {
    return std::min<std::int64_t>(32, c.length);
}

/// Of the last `queries` rows of one sequence with all its keys.
inline double layer_flops(const LayerCase& c, std::int64_t queries) {
    const auto q = static_cast<double>(queries), k = static_cast<double>(c.length), model = static_cast<double>(c.model_dim);
    const double pairs = c.causal == Causal::none ? q * k : q * k - q * (q - 1) / 2;
    return 4 * q * model * model + 4 * k * model * static_cast<double>(c.num_kv_heads * c.head_dim()) + 4 * pairs * model;
}

/// Whether the naive loops are run: for at most some 20 s.
inline bool is_layer_checked(const LayerCase& c) {
    return layer_flops(c, layer_check_rows(c)) <= 2e10;
}

}  // namespace headwise::tools
