#include <doctest/doctest.h>
#include <oneapi/tbb/task_arena.h>

#include <cfenv>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "tests/host/attention_inputs.hpp"
#include "tests/support/same_floats.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace headwise::test {
namespace {

/// Calls function() in an arena created in the default modes, so that its workers do not inherit the modes function() sets. Set
/// them inside: execute() switches the calling thread to the arena's modes.
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

/// The exceptions that attention raises, among those that a caller may have trapped. Masked: a bias hides half of the pairs.
/// `before`: the floats that the workspace holds.
int flags_of(std::int64_t queries, std::int64_t keys, float magnitude, const AttentionOptions& options, bool masked,
             float before = 0) {
    constexpr std::int64_t kHeads = 2, kDim = 24;
    std::vector<float> query = random_floats(kHeads * queries * kDim, 1);
    for (float& x : query) x *= magnitude;
    const std::vector<float> key = random_floats(kHeads * keys * kDim, 2), value = random_floats(kHeads * keys * kDim, 3);
    std::vector<float> bias = random_floats(queries * keys, 4), out(query.size());
    for (float& x : bias)
        if (x < 0) x = -std::numeric_limits<float>::infinity();
    AttentionArguments arguments{.query = bhsd(std::as_const(query).data(), 1, kHeads, queries, kDim),
                                 .key = bhsd(key.data(), 1, kHeads, keys, kDim),
                                 .value = bhsd(value.data(), 1, kHeads, keys, kDim),
                                 .out = bhsd(out.data(), 1, kHeads, queries, kDim)};
    if (masked) arguments.bias = {bias.data(), {1, 1, queries, keys}};
    const AttentionPlan plan(
        {.num_heads = kHeads, .num_kv_heads = kHeads, .query_length = queries, .key_length = keys, .head_dim = kDim}, options);
    std::vector<float> workspace(plan.workspace_bytes() / sizeof(float) + 1, before);
    std::feclearexcept(FE_ALL_EXCEPT);
    plan.run(arguments, std::as_writable_bytes(std::span(workspace)));
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

// Scores beyond the last key (softcap, few rows) and of keys that are not seen (a bias, 16 rows) take part in whole vectors.
TEST_CASE("nor does what the workspace held raise any") {
    constexpr float kLeft[] = {std::numeric_limits<float>::signaling_NaN(), std::numeric_limits<float>::infinity(),
                               std::numeric_limits<float>::max()};
    for (const std::int64_t queries : {1, 3, 16})
        for (const std::int64_t keys : {1, 5, 100})
            for (const float softcap : {0.0f, 1.0f})
                for (const float left : kLeft)
                    for (const bool masked : {false, true}) {
                        CAPTURE(queries);
                        CAPTURE(keys);
                        CAPTURE(softcap);
                        CAPTURE(left);
                        CAPTURE(masked);
                        CHECK(flags_of(queries, keys, 1, {.softcap = softcap, .max_threads = 1}, masked, left) == 0);
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
