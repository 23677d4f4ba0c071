#pragma once

#include <cstdint>
#include <vector>

#include "headwise/headwise.hpp"

namespace headwise::test {

/// Self-attention that is worth several workers, and what it gives on one.
struct SmallAttention {
    static constexpr std::int64_t kHeads = 8, kLength = 512, kDim = 64;

    std::vector<float> query = numbers(1), key = numbers(2), value = numbers(3);

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

  private:
    static std::vector<float> numbers(std::uint32_t state) {
        std::vector<float> x(kHeads * kLength * kDim);
        for (float& value : x) {
            state = state * 1664525 + 1013904223;
            value = static_cast<float>(state >> 8) * 0x1p-23f - 1;
        }
        return x;
    }
};

}  // namespace headwise::test
