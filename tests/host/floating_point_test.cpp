#include <doctest/doctest.h>
#include <oneapi/tbb/task_arena.h>

#include <cfenv>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/host/attention_inputs.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace headwise::test {
namespace {

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// function() in an arena that was made, and whose workers began, in the usual modes: they do not know those that function() sets.
/// (execute() itself has the calling thread work in the arena's modes.)
template <class Function>
void in_usual_arena(const Function& function) {
    static tbb::task_arena arena(8);
    arena.execute(function);
}

/// The same bits on one thread and on several, in the modes that the calling thread has.
void check_threads_agree(const SmallAttention& inputs) {
    const AttentionOptions options{.scale = 1e-3f};
    const std::vector<float> expected = inputs.on_one_thread(options);
    for (int round = 0; round < 5; ++round) {
        std::vector<float> out(expected.size());
        attention(inputs.arguments(out), options);
        CHECK(same_bits(out, expected));
    }
}

/// What attention of all kinds raises for finite inputs and masks, of what a caller may have trapped.
int flags_of(std::int64_t queries, std::int64_t keys, float magnitude, const AttentionOptions& options, bool masked) {
    constexpr std::int64_t kHeads = 2, kDim = 24;
    std::uint32_t state = 1;
    const auto numbers = [&](std::int64_t count, float scale) {
        std::vector<float> x(static_cast<std::size_t>(count));
        for (float& value : x) {
            state = state * 1664525 + 1013904223;
            value = (static_cast<float>(state >> 8) * 0x1p-23f - 1) * scale;
        }
        return x;
    };
    const std::vector<float> query = numbers(kHeads * queries * kDim, magnitude), key = numbers(kHeads * keys * kDim, 1),
                             value = numbers(kHeads * keys * kDim, 1);
    std::vector<float> bias = numbers(queries * keys, 1), out(query.size());
    for (float& x : bias)
        if (x < 0) x = -std::numeric_limits<float>::infinity();
    AttentionArguments arguments{.query = bhsd(query.data(), 1, kHeads, queries, kDim),
                                 .key = bhsd(key.data(), 1, kHeads, keys, kDim),
                                 .value = bhsd(value.data(), 1, kHeads, keys, kDim),
                                 .out = bhsd(out.data(), 1, kHeads, queries, kDim)};
    if (masked) arguments.bias = {bias.data(), {1, 1, queries, keys}};
    std::feclearexcept(FE_ALL_EXCEPT);
    attention(arguments, options);
    return std::fetestexcept(FE_INVALID | FE_OVERFLOW | FE_DIVBYZERO);
}

TEST_CASE("finite inputs raise neither INVALID nor OVERFLOW nor DIVBYZERO, however masked and capped") {
    for (const std::int64_t queries : {1, 3, 16, 100})
        for (const std::int64_t keys : {1, 100, 300})
            for (const float magnitude : {1.0f, 100.0f})
                for (const float softcap : {0.0f, 1.0f, 30.0f, 1e10f})
                    for (const Causal causal : {Causal::none, Causal::top_left, Causal::bottom_right})
                        for (const bool masked : {false, true}) {
                            CAPTURE(queries);
                            CAPTURE(keys);
                            CAPTURE(magnitude);
                            CAPTURE(softcap);
                            CAPTURE(static_cast<int>(causal));
                            CAPTURE(masked);
                            const AttentionOptions options{.causal = causal, .softcap = softcap, .max_threads = 1};
                            CHECK(flags_of(queries, keys, magnitude, options, masked) == 0);
                        }
}

TEST_CASE("workers round as the caller does") {
    const SmallAttention inputs;
    in_usual_arena([&] {
        check_threads_agree(inputs);
        const std::vector<float> nearest = inputs.on_one_thread();
        for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
            std::fesetround(mode);
            const std::vector<float> rounded = inputs.on_one_thread();
            check_threads_agree(inputs);
            std::fesetround(FE_TONEAREST);
            CHECK(!same_bits(nearest, rounded));
        }
    });
}

#if defined(__x86_64__)
TEST_CASE("workers flush denormal numbers where the caller does, and only there") {
    SmallAttention inputs;
    for (float& x : inputs.value) x *= 1e-38f;  // denormal products
    in_usual_arena([&] {
        check_threads_agree(inputs);
        const std::vector<float> kept = inputs.on_one_thread();
        const unsigned modes = _mm_getcsr();
        _mm_setcsr(modes | 0x8040);  // flush to zero, denormals are zero
        const std::vector<float> flushed = inputs.on_one_thread();
        check_threads_agree(inputs);
        _mm_setcsr(modes);
        CHECK(!same_bits(kept, flushed));
        check_threads_agree(inputs);
    });
}
#endif

}  // namespace
}  // namespace headwise::test
