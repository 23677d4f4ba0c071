#include "tests/support/random_numbers.hpp"

#include <cstdlib>

#include "headwise/cpu.hpp"

namespace headwise::test {

std::uint64_t test_seed() {
    const char* value = std::getenv("HEADWISE_TEST_SEED");
    return value ? std::strtoull(value, nullptr, 0) : 20240607;
}

int test_cases(int otherwise) {
    const char* value = std::getenv("HEADWISE_TEST_CASES");
    return value ? std::atoi(value) : otherwise;
}

std::string reproduction(std::uint64_t seed) {
    return "HEADWISE_ISA=" + std::string(isa_name(active_isa())) + " HEADWISE_TEST_SEED=" + std::to_string(seed) +
           " HEADWISE_TEST_CASES=1 " + program_invocation_name;
}

}  // namespace headwise::test
