// A call that is repeated finds its memory where it was: the system maps nothing for it.
#include <doctest/doctest.h>
#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
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

constexpr int kCalls = 5;

/// Page faults of kCalls calls in a row once some have gone before; the fewest of a few such rows, as a worker that wakes up for
/// the first time touches its stack.
long faults_of(const std::function<void()>& call) {
    mallopt(M_MMAP_THRESHOLD, 4096);  // or glibc would keep what is freed and hide that a call allocates
    for (int i = 0; i < 2; ++i) call();
    long fewest = 1;
    for (int row = 0; row < 5 && fewest > 0; ++row) {
        const long before = page_faults();
        for (int i = 0; i < kCalls; ++i) call();
        const long faults = page_faults() - before;
        fewest = row == 0 ? faults : std::min(fewest, faults);
    }
    return fewest;
}

void check(const std::string& name, const std::function<void()>& call) {
    CAPTURE(name);
    // A call that maps but a page has one. On a quiet machine there are none; a system that moves pages between nodes makes some.
    CHECK(faults_of(call) < kCalls);
}

TEST_CASE("repeated calls touch no new page") {
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
    std::vector<float> layer_out(8 * 256 * 512);
    for (const std::int64_t batch : {2, 8})
        check("layer, batch " + std::to_string(batch),
              [&] { layer.forward({weight.data() + (2 << 20), {batch, 256, 512}}, {layer_out.data(), {batch, 256, 512}}); });

    constexpr std::int64_t kHeads = SmallAttention::kHeads, kLength = SmallAttention::kLength, kTop = 8;
    std::vector<float> weights(kHeads * kLength * kLength), top(kHeads * kLength * kTop), means(kHeads * kLength);
    std::vector<std::int32_t> top_keys(top.size());
    const AttentionWeights all{.weights = {weights.data(), {1, kHeads, kLength, kLength}},
                               .top_weights = {top.data(), {1, kHeads, kLength, kTop}},
                               .top_keys = {top_keys.data(), {1, kHeads, kLength, kTop}},
                               .key_means = {means.data(), {1, kHeads, kLength}}};
    check("attention_weights", [&] { attention_weights(small.arguments(out), {}, {}, {.weights = all.weights}); });
    check("attention_weights, key means", [&] { attention_weights(small.arguments(out), {}, {}, {.key_means = all.key_means}); });
    check("attention_weights, all results", [&] { attention_weights(small.arguments(out), {}, {}, all); });
}

TEST_CASE("repeated turning and appending touch no new page, at positions whose angles are kept or made") {
    constexpr std::int64_t kHeads = SmallAttention::kHeads, kDim = SmallAttention::kDim, kLength = SmallAttention::kLength;
    const SmallAttention small;
    std::vector<float> out(small.query.size());
    const RopeTable table({.dims = kDim}, 1'000'000);
    for (const std::int64_t position : {0, 900'000}) {
        CAPTURE(position);
        check("apply_rope", [&] { apply_rope(small.arguments(out).query, small.arguments(out).out, table, {}, position); });
    }
    const TensorView<const float, 3> key(small.key.data(), {kHeads, kLength, kDim}),
        value(small.value.data(), {kHeads, kLength, kDim});
    for (const RopeTable* rope : {static_cast<const RopeTable*>(nullptr), &table}) {
        KvCache cache({.num_kv_heads = kHeads, .head_dim = kDim, .page_size = 256, .pages = 8}, rope);
        const SequenceId sequence = cache.add_sequence();
        CAPTURE(rope);
        check("KvCache::append", [&] {
            cache.append(sequence, key, value);
            cache.truncate(sequence, 0);
        });
    }
}

}  // namespace
}  // namespace headwise::test
