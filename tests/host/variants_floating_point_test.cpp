// Floating-point flags and modes with all that a call of attention may ask for, over so many keys that chunks of them are merged.
// Exceptions on workers are in traps_test.cpp: their flags are out of sight.
#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <cfenv>
#include <vector>

#include "tests/host/variant_calls.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace headwise::test {
namespace {

constexpr int kThreads = 4;
// Also where there are fewer cores.
const tbb::global_control allow_threads(tbb::global_control::max_allowed_parallelism, kThreads);

std::vector<float> results_on(VariantCall& call, int threads) {
    call.options.max_threads = threads;
    call.run();
    return call.results();
}

/// Whether chunks of keys are merged on several threads: of a call with one sequence by whoever ends the last of these tasks.
bool merges_chunks(const VariantCall& call) {
    const AttentionExplanation e = AttentionPlan(call.shape, call.options).explain(call.arguments);
    return e.key_chunks > 1 && e.workers > 1 && (e.keys_split || call.sequences.size() > 1);
}

TEST_CASE("finite inputs raise neither INVALID nor OVERFLOW nor DIVBYZERO, whatever a call asks for") {
    for_variant_calls([](VariantCall& call) {
        call.options.max_threads = 1;
        std::feclearexcept(FE_ALL_EXCEPT);
        call.run();
        CHECK(std::fetestexcept(FE_INVALID | FE_OVERFLOW | FE_DIVBYZERO) == 0);
    });
}

/// Whether a call has the same bits on one thread and on several in the modes that set() sets, and others than without. The arena
/// is made in the usual modes, so that its workers do not inherit those.
template <class Set, class Reset>
void check_modes(VariantCall& call, const Set& set, const Reset& reset) {
    static tbb::task_arena arena(kThreads);
    arena.execute([&] {
        const std::vector<float> usual = results_on(call, 1);
        set();
        const std::vector<float> expected = results_on(call, 1);
        bool same = true;
        for (int round = 0; round < 3; ++round) same = same && same_bits(results_on(call, kThreads), expected);
        reset();
        CHECK(merges_chunks(call));
        CHECK(same);
        CHECK(!same_bits(usual, expected));
        CHECK(same_bits(results_on(call, kThreads), usual));
    });
}

TEST_CASE("workers round upwards where the caller does, whatever a call asks for") {
    for_variant_calls(
        [](VariantCall& call) { check_modes(call, [] { std::fesetround(FE_UPWARD); }, [] { std::fesetround(FE_TONEAREST); }); });
}

#if defined(__x86_64__)
TEST_CASE("workers flush denormal numbers where the caller does, whatever a call asks for") {
    constexpr unsigned kFlushing = 0x8040;  // flush to zero, denormals are zero
    for_variant_calls([](VariantCall& call) {
        make_values_tiny(call);
        check_modes(call, [] { _mm_setcsr(_mm_getcsr() | kFlushing); }, [] { _mm_setcsr(_mm_getcsr() & ~kFlushing); });
    });
}
#endif

}  // namespace
}  // namespace headwise::test
