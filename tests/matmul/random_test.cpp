// Random calls: HEADWISE_TEST_CASES=N tries N of them, HEADWISE_TEST_SEED=S starts with that of seed S.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/matmul/matmul_case.hpp"

namespace headwise::test {
namespace {

/// Mostly small, at times up to `most`.
std::int64_t random_length(RandomNumbers& random, std::int64_t most) {
    const std::int64_t limits[] = {4, 20, 70, 200, most};
    return random.between(0, std::min(most, random.one_of(limits)));
}

MatmulCase random_case(std::uint64_t seed) {
    RandomNumbers random(seed);
    MatmulCase c;
    c.seed = seed;
    c.form = random.one_of({Form::matrix, Form::packed, Form::batch});
    if (c.form == Form::batch) c.batch = random.between(0, 5);
    c.m = random_length(random, 300);
    c.n = random_length(random, 300);
    c.k = random_length(random, random.chance(0.1) ? 2500 : 300);
    // The largest of all would take most of the time.
    while (c.batch * c.m * c.n * c.k > 2'000'000) c.m /= 2;
    c.a_transposed = random.chance(0.5);
    c.b_transposed = random.chance(0.5);
    c.a = random_layout(random, true);
    c.b = random_layout(random, true);
    c.c = random_layout(random, false);
    c.residual_layout = random_layout(random, true);
    c.guard = random.chance(0.5) ? Guard::below : Guard::above;
    c.alpha = random.one_of({1.0f, 1.0f, -1.0f, 0.0f, 0.3f});
    c.beta = random.one_of({0.0f, 0.0f, 1.0f, -0.7f});
    c.bias = random.chance(0.5);
    c.activation = random.one_of(
        {Activation::none, Activation::none, Activation::relu, Activation::silu, Activation::gelu_erf, Activation::gelu_tanh});
    if (c.form != Form::batch) c.residual = random.one_of({Residual::none, Residual::separate, Residual::c});
    c.max_threads = random.one_of({0, 0, 1, 2});
    return c;
}

TEST_CASE("random calls") {
    const int cases = test_cases(500);
    for (int i = 0; i < cases; ++i) check_matmul(random_case(test_seed() + static_cast<std::uint64_t>(i)));
}

}  // namespace
}  // namespace headwise::test
