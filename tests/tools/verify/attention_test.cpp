// Attention with every variant and their combinations, drawn at random: HEADWISE_TEST_CASES=N tries N calls, HEADWISE_TEST_SEED=S
// starts with that of seed S.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>

#include "tests/support/bound_use.hpp"
#include "tests/support/random_numbers.hpp"
#include "verify/attention.hpp"
#include "verify/random_attention.hpp"

namespace headwise::tools {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kCases = 1000;  // ten times slower each
#else
constexpr int kCases = 8000;
#endif

TEST_CASE("random calls of all variants hold the numerical contract, the same bits on any number of workers") {
    AttentionVerifier verifier;
    const int cases = test::test_cases(kCases);
    for (int i = 0; i < cases; ++i) {
        const std::uint64_t seed = test::test_seed() + static_cast<std::uint64_t>(i);
        INFO(test::reproduction(seed));
        const AttentionVerdict verdict = verifier.verify(seed);
        CHECK_MESSAGE(verdict.passed(), verdict.failure());
    }
}

TEST_CASE("the same calls are within the bound that holds for every one of them") {
    const int cases = test::test_cases(kCases);
    test::BoundUse most;
    for (int i = 0; i < cases; ++i) {
        const std::uint64_t seed = test::test_seed() + static_cast<std::uint64_t>(i);
        INFO(test::reproduction(seed));
        const RandomAttention call(seed);
        attention(call.arguments, call.options);
        const test::AttentionErrorBound allowed(call.options, call.arguments);
        const test::BoundUse use = test::use_of_bound(allowed, call.arguments.out, call.arguments.log_sum_exp);
        CHECK_MESSAGE(use.within(), call.text(), "; ", use.worst);
        most.add(use, call.text());
    }
    std::printf("%d random calls: %s\n", cases, most.text().c_str());
}

TEST_CASE("among the random calls are many whose sequences read shared keys together") {
    int together = 0;
    for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
        const RandomAttention call(seed);
        AttentionArguments apart = call.arguments;
        apart.shared_keys = 0;
        const AttentionPlan plan(call.shape, call.options);
        if (plan.explain(call.arguments).bytes < plan.explain(apart).bytes) ++together;
    }
    CHECK(together > 50);
}

TEST_CASE("among the random calls are some of thousands of keys, and some whose masks show next to none") {
    int long_ones = 0, sparse = 0, empty = 0;
    for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
        const RandomAttention call(seed);
        if (call.shape.key_length > 3000) ++long_ones;
        const TensorView<const std::uint8_t, 4>& mask = call.arguments.mask;
        const std::int64_t pairs = mask.extent[0] * mask.extent[1] * mask.extent[2] * mask.extent[3];
        if (!mask.data || pairs < 1000) continue;
        const auto shown = pairs - std::count(mask.data, mask.data + pairs, 0);
        if (shown == 0) ++empty;
        if (shown > 0 && shown * 100 < pairs * 6) ++sparse;
    }
    CHECK(long_ones > 10);
    CHECK(sparse > 10);
    CHECK(empty > 5);
}

}  // namespace
}  // namespace headwise::tools
