#pragma once

#include <cstdint>
#include <string>

#include "tools/headwise/buffers/random_numbers.hpp"

namespace headwise::test {

/// The seed of random values: HEADWISE_TEST_SEED, or a fixed number, so that a run without it always does the same.
std::uint64_t test_seed();

/// How many random cases to run: HEADWISE_TEST_CASES, or `otherwise`.
int test_cases(int otherwise);

/// A command line that repeats what a test did with this seed.
std::string reproduction(std::uint64_t seed);

using tools::RandomNumbers;

}  // namespace headwise::test
