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

/// A layer over SmallAttention's query as [1, 512, 512], every part of it worth several workers. `forward` reads the inputs.
struct SmallLayer {
    static constexpr std::int64_t kModel = SmallAttention::kHeads * SmallAttention::kDim, kLength = SmallAttention::kLength;

    explicit SmallLayer(const SmallAttention& inputs, int max_threads = 0)
        : x(inputs.query.data(), {1, kLength, kModel}),
          layer({.num_heads = SmallAttention::kHeads, .num_kv_heads = SmallAttention::kHeads, .head_dim = SmallAttention::kDim},
                {.query = weight(inputs.query),
                 .key = weight(inputs.key),
                 .value = weight(inputs.value),
                 .output = weight(inputs.key)},
                {.max_threads = max_threads}) {}

    void forward(std::vector<float>& out) const { layer.forward(x, {out.data(), {1, kLength, kModel}}); }

    TensorView<const float, 3> x;
    MultiHeadAttention layer;

  private:
    static_assert(kModel == kLength);
    static TensorView<const float, 2> weight(const std::vector<float>& from) { return {from.data(), {kModel, kModel}}; }
};

}  // namespace headwise::test
