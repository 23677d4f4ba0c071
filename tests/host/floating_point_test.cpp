#include <doctest/doctest.h>
#include <oneapi/tbb/task_arena.h>

#include <cfenv>
#include <cstring>
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
