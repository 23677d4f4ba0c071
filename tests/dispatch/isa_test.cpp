#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "engine/dispatch/features.hpp"
#include "engine/kernels/kernel_table.hpp"
#include "headwise/cpu.hpp"
#include "tests/support/error_message.hpp"

namespace headwise::test {
namespace {

constexpr Isa kAll[] = {Isa::scalar, Isa::sse4_2, Isa::avx2, Isa::avx512, Isa::neon};

bool is_available(Isa isa) {
    const auto available = available_isas();
    return std::find(available.begin(), available.end(), isa) != available.end();
}

TEST_CASE("names and ISAs are inverse") {
    for (const Isa isa : kAll) CHECK(isa_from_name(isa_name(isa)) == isa);
    CHECK(isa_name(Isa::sse4_2) == "sse4.2");
    CHECK(isa_name(static_cast<Isa>(99)) == "unknown");
}

TEST_CASE("an unknown name is refused with the known ones") {
    for (const std::string name : {"", "sse", "AVX2", "avx512 ", "unknown"}) {
        const std::string message = message_of([&] { isa_from_name(name); });
        CHECK(message.find("name is \"" + name + "\"") != std::string::npos);
        for (const Isa isa : kAll) CHECK(message.find(isa_name(isa)) != std::string::npos);
    }
}

TEST_CASE("scalar is always available, and each available ISA has kernels of its own and the features that they need") {
    CHECK(available_isas().front() == Isa::scalar);
    for (const Isa isa : available_isas()) {
        CHECK(kernel_table(isa).isa == isa);
        CHECK(kernel_table(isa).lanes >= 1);
    }
    for (const IsaRequirements& requirements : isa_requirements())
        CHECK(is_available(requirements.isa) ==
              (requirements.compiled_in && std::all_of(requirements.features.begin(), requirements.features.end(),
                                                       [](std::string_view f) { return has_feature(f); })));
}

TEST_CASE("the active ISA is the one that HEADWISE_ISA names, else the strongest") {
    if (const char* requested = std::getenv("HEADWISE_ISA")) {
        CHECK(isa_name(active_isa()) == requested);
        CHECK(isa_reason() == "HEADWISE_ISA");
    } else {
        CHECK(active_isa() == available_isas().back());
        CHECK(isa_reason() == "strongest available");
    }
}

TEST_CASE("an ISA that is not available is refused with the reason, and nothing changes") {
    const Isa before = active_isa();
    const std::string reason = isa_reason();
    for (const Isa isa : kAll) {
        if (is_available(isa)) continue;
        const std::string message = message_of([&] { set_isa(isa); });
        CHECK(message.find("is " + std::string(isa_name(isa)) + ": ") != std::string::npos);
        CHECK(message.find("available here: scalar") != std::string::npos);
        CHECK(kind_of([&] { set_isa(isa); }) == ErrorKind::unsupported);
    }
    CHECK(kind_of([] { set_isa(static_cast<Isa>(99)); }) == ErrorKind::argument);
    CHECK(message_of([] { set_isa(static_cast<Isa>(99)); }).find("is 99: no such ISA") != std::string::npos);
    CHECK(active_isa() == before);
    CHECK(isa_reason() == reason);
}

TEST_CASE("set_isa chooses among the available ones, from any thread") {
    const Isa before = active_isa();
    for (const Isa isa : available_isas()) {
        set_isa(isa);
        CHECK(active_isa() == isa);
        CHECK(isa_reason() == "set_isa()");
    }
    std::vector<std::thread> threads;
    for (const Isa isa : available_isas())
        threads.emplace_back([isa] {
            for (int i = 0; i < 1000; ++i) set_isa(isa), static_cast<void>(isa_name(active_isa()));
        });
    for (std::thread& thread : threads) thread.join();
    CHECK(is_available(active_isa()));
    set_isa(before);
}

}  // namespace
}  // namespace headwise::test
