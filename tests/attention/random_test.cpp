// Random calls: HEADWISE_TEST_CASES=N tries N of them, HEADWISE_TEST_SEED=S starts with that of seed S.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/support/attention_case.hpp"

namespace headwise::test {
namespace {

/// Mostly small, at times up to `most`.
std::int64_t random_length(RandomNumbers& random, std::int64_t least, std::int64_t most) {
    const std::int64_t limits[] = {4, 20, 70, 200, most};
    return random.between(least, std::min(most, random.one_of(limits)));
}

AttentionCase random_case(std::uint64_t seed) {
    RandomNumbers random(seed);
    AttentionCase c;
    c.seed = seed;
    c.shape.batch = random.between(1, 3);
    c.shape.num_kv_heads = random.between(1, 3);
    c.shape.num_heads = c.shape.num_kv_heads * (random.chance(0.5) ? 1 : random.between(1, 16));
    c.shape.head_dim = random_length(random, 1, random.chance(0.1) ? 512 : 130);
    c.shape.value_dim = random.chance(0.7) ? c.shape.head_dim : random_length(random, 1, random.chance(0.1) ? 512 : 130);
    c.shape.query_length = random_length(random, 0, 300);
    c.shape.key_length = random.chance(0.2) ? c.shape.query_length : random_length(random, 0, random.chance(0.1) ? 3000 : 400);
    // The largest of all would take most of the time.
    const auto cost = [&] {
        return c.shape.batch * c.shape.num_heads * c.shape.query_length * c.shape.key_length * (c.shape.head_dim + c.value_dim());
    };
    while (cost() > 20'000'000) c.shape.query_length /= 2;
    c.options.causal = random.one_of({Causal::none, Causal::top_left, Causal::bottom_right});
    if (random.chance(0.2)) c.options.scale = random.normal();
    c.logit_deviation = random.one_of({0.0f, 0.1f, 1.0f, 1.0f, 1.0f, 5.0f});
    c.query = random_layout(random, true);
    c.key = random_layout(random, true);
    c.value = random_layout(random, true);
    c.out = random_layout(random, false);
    c.guard = random.chance(0.5) ? Guard::below : Guard::above;
    return c;
}

TEST_CASE("random calls") {
    const int cases = test_cases(400);
    for (int i = 0; i < cases; ++i) check_attention(random_case(test_seed() + static_cast<std::uint64_t>(i)));
}

}  // namespace
}  // namespace headwise::test
