#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "headwise/headwise.hpp"
#include "tests/support/random_numbers.hpp"

namespace headwise::test {

inline std::vector<float> random_floats(std::int64_t count, std::uint64_t seed) {
    RandomNumbers random(seed);
    std::vector<float> x(static_cast<std::size_t>(count));
    for (float& value : x) value = random.normal();
    return x;
}

/// Self-attention that is worth several workers, and what it gives on one.
struct SmallAttention {
    static constexpr std::int64_t kHeads = 8, kLength = 512, kDim = 64, kCount = kHeads * kLength * kDim;

    std::vector<float> query = random_floats(kCount, 1), key = random_floats(kCount, 2), value = random_floats(kCount, 3);

    AttentionShape shape() const {
        return {.num_heads = kHeads, .num_kv_heads = kHeads, .query_length = kLength, .key_length = kLength, .head_dim = kDim};
    }
    AttentionArguments arguments(std::vector<float>& out) const {
        const auto view = [](const std::vector<float>& x) { return bhsd(x.data(), 1, kHeads, kLength, kDim); };
        return {.query = view(query), .key = view(key), .value = view(value), .out = bhsd(out.data(), 1, kHeads, kLength, kDim)};
    }
    std::vector<float> on_one_thread(AttentionOptions options = {}) const {
        std::vector<float> out(query.size());
        options.max_threads = 1;
        attention(arguments(out), options);
        return out;
    }
};

}  // namespace headwise::test
