// A call that is repeated finds its memory where it was: the system maps nothing for it.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <functional>
#include <string>
#include <vector>

#include "headwise/headwise.hpp"
#include "tests/host/attention_inputs.hpp"

namespace headwise::test {
namespace {

/// Of all threads of the process so far.
long page_faults() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

/// Page faults of one call once some have gone before.
double faults_of(const std::function<void()>& call) {
    constexpr int kCalls = 20;
    for (int i = 0; i < 5; ++i) call();
    const long before = page_faults();
    for (int i = 0; i < kCalls; ++i) call();
    return static_cast<double>(page_faults() - before) / kCalls;
}

TEST_CASE("repeated calls touch no new page") {
    // A worker that wakes up for the first time touches its stack: a few pages, once.
    const auto check = [](const std::string& name, const std::function<void()>& call) {
        const double faults = faults_of(call);
        CAPTURE(name);
        CHECK(faults <= 2);
    };
    const SmallAttention small;
    std::vector<float> out(small.query.size());
    check("attention", [&] { attention(small.arguments(out), {.causal = Causal::bottom_right}); });
    const std::vector<float> weight = random_floats(std::int64_t{32768} * 1024, 4), row = random_floats(32768, 5);
    std::vector<float> product(32768);
    for (const auto& [k, n] : {std::pair<std::int64_t, std::int64_t>{1024, 32768}, {32768, 1024}}) {
        const TensorView<const float, 2> a(row.data(), {1, k}), b(weight.data(), {n, k});
        check("1 x " + std::to_string(k) + " x " + std::to_string(n) + ", b transposed",
              [&] { matmul(a, transposed(b), {product.data(), {1, n}}); });
    }
    std::vector<float> square(1024 * 1024);
    const TensorView<const float, 2> a(weight.data(), {1024, 1024}), b(weight.data() + (1 << 20), {1024, 1024});
    check("1024^3, b transposed", [&] { matmul(a, transposed(b), {square.data(), {1024, 1024}}); });
    check("1024^3", [&] { matmul(a, b, {square.data(), {1024, 1024}}); });
    const MultiHeadAttention layer({.num_heads = 8, .num_kv_heads = 8, .head_dim = 64},
                                   {.qkv = {weight.data(), {3 * 512, 512}}, .output = {weight.data() + (1 << 20), {512, 512}}});
    std::vector<float> layer_out(2 * 256 * 512);
    check("layer", [&] { layer.forward({weight.data() + (2 << 20), {2, 256, 512}}, {layer_out.data(), {2, 256, 512}}); });
}

}  // namespace
}  // namespace headwise::test
