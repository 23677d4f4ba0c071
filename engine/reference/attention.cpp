#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/reference/checks.hpp"
#include "engine/reference/row.hpp"
#include "headwise/reference.hpp"

namespace headwise::reference {
namespace {

/// How many keys query i sees: those at positions up to its own.
std::int64_t allowed_keys(Causal causal, std::int64_t i, std::int64_t queries, std::int64_t keys) {
    if (causal == Causal::none) return keys;
    const std::int64_t position = causal == Causal::bottom_right ? i + keys - queries : i;
    return std::clamp<std::int64_t>(position + 1, 0, keys);
}

}  // namespace

template <class T>
void attention(const TensorView<const T, 4>& query, const TensorView<const T, 4>& key, const TensorView<const T, 4>& value,
               const TensorView<T, 4>& out, const AttentionOptions& options) {
    check_attention(query, key, value, out, options);
    const auto [batch, heads, queries, head_dim] = query.extent;
    const std::int64_t keys = key.extent[2], value_dim = value.extent[3], group = heads / key.extent[1];
    const T scale = options.scale ? static_cast<T>(*options.scale) : 1 / std::sqrt(static_cast<T>(head_dim));
    std::vector<T> weights(static_cast<std::size_t>(keys));

    for (std::int64_t b = 0; b < batch; ++b)
        for (std::int64_t h = 0; h < heads; ++h)
            for (std::int64_t i = 0; i < queries; ++i) {
                const Row<const T> q = row(query, b, h, i);
                const std::int64_t allowed = allowed_keys(options.causal, i, queries, keys);

                // weights[j] = softmax over j of scale * <q, key j>. Keys that are not allowed are not even read.
                for (std::int64_t j = 0; j < allowed; ++j) {
                    const Row<const T> k = row(key, b, h / group, j);
                    T dot = 0;
                    for (std::int64_t d = 0; d < head_dim; ++d) dot += q[d] * k[d];
                    weights[static_cast<std::size_t>(j)] = scale * dot;
                }
                softmax(TensorView<T, 2>(weights.data(), {1, allowed}));

                // out = sum over j of weights[j] * value j; 0 where no key is allowed.
                const Row<T> o = row(out, b, h, i);
                for (std::int64_t d = 0; d < value_dim; ++d) o[d] = 0;
                for (std::int64_t j = 0; j < allowed; ++j) {
                    const T weight = weights[static_cast<std::size_t>(j)];
                    const Row<const T> v = row(value, b, h / group, j);
                    for (std::int64_t d = 0; d < value_dim; ++d) o[d] += weight * v[d];
                }
            }
}

template void attention(const TensorView<const float, 4>&, const TensorView<const float, 4>&, const TensorView<const float, 4>&,
                        const TensorView<float, 4>&, const AttentionOptions&);
template void attention(const TensorView<const double, 4>&, const TensorView<const double, 4>&, const TensorView<const double, 4>&,
                        const TensorView<double, 4>&, const AttentionOptions&);

}  // namespace headwise::reference
