// Attention when main() has returned: in an atexit handler, then in the destructor of an object that is older than any call.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "headwise/headwise.hpp"

namespace {

bool attention_is_right() {
    constexpr std::int64_t kHeads = 12, kLength = 512, kDim = 64;
    std::vector<float> q(kHeads * kLength * kDim, 0.5f), k(q), v(q), out(q.size());
    const auto view = [](std::vector<float>& x) { return headwise::bhsd(x.data(), 1, kHeads, kLength, kDim); };
    headwise::attention(view(q), view(k), view(v), view(out));
    for (const float x : out)
        if (!(x > 0.499f && x < 0.501f)) return false;
    return true;
}

void report(const char* where) {
    std::printf("%s: %s\n", where, attention_is_right() ? "right" : "wrong");
    std::fflush(stdout);
}

struct Static {
    ~Static() { report("static destructor"); }
};
const Static made_first;

}  // namespace

int main() {
    std::atexit([] { report("atexit"); });
    return attention_is_right() ? 0 : 1;
}
