// Runs the tests of a program on the ISA that HEADWISE_ISA names (the strongest if it names none), and proves that it is the one
// that runs.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "engine/kernels/kernel_table.hpp"
#include "headwise/cpu.hpp"
#include "headwise/error.hpp"

namespace {

constexpr int kSkipped = 77;  // SKIP_RETURN_CODE in CMakeLists.txt

/// 0 when the tests may run.
int force_isa(const char* requested) {
    const headwise::Isa isa = headwise::isa_from_name(requested);
    const auto available = headwise::available_isas();
    if (std::find(available.begin(), available.end(), isa) == available.end()) {
        try {
            headwise::active_isa();
            std::printf("HEADWISE_ISA=%s was accepted though it is not available\n", requested);
            return EXIT_FAILURE;
        } catch (const headwise::Error& error) {
            std::printf("skipped: %s\n", error.what());
            return kSkipped;
        }
    }
    const headwise::Isa active = headwise::active_isa();
    if (active != isa || headwise::kernel_table(active).isa != isa) {
        std::printf("HEADWISE_ISA=%s asked for, but %s is active\n", requested, std::string(headwise::isa_name(active)).c_str());
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
    if (const char* requested = std::getenv("HEADWISE_ISA")) {
        try {
            if (const int result = force_isa(requested); result != EXIT_SUCCESS) return result;
        } catch (const headwise::Error& error) {
            std::printf("%s\n", error.what());
            return EXIT_FAILURE;
        }
    }
    const headwise::Isa isa = headwise::active_isa();
    std::printf("isa: %s (%s)\n", std::string(headwise::isa_name(isa)).c_str(), headwise::isa_reason().c_str());
    doctest::Context context(argc, argv);
    const int result = context.run();
    if (context.shouldExit()) return result;
    if (headwise::active_isa() != isa) {
        std::printf("a test left another ISA active than the one that it was given\n");
        return EXIT_FAILURE;
    }
    return result;
}
