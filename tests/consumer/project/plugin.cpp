// A library that a program loads and unloads, with headwise in it.
#include <vector>

#include "headwise/headwise.hpp"

extern "C" __attribute__((visibility("default"))) int attention_is_right() {
    constexpr std::int64_t kHeads = 12, kLength = 512, kDim = 64;
    std::vector<float> q(kHeads * kLength * kDim, 0.5f), k(q), v(q), out(q.size());
    const auto view = [](std::vector<float>& x) { return headwise::bhsd(x.data(), 1, kHeads, kLength, kDim); };
    headwise::attention(view(q), view(k), view(v), view(out));
    for (const float x : out)
        if (!(x > 0.499f && x < 0.501f)) return 0;
    return 1;
}
