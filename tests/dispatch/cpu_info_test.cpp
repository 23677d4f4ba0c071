#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <thread>

#include "headwise/cpu.hpp"

namespace headwise::test {
namespace {

TEST_CASE("what is said about this machine is plausible, and the same each time") {
    const CpuInfo& info = cpu_info();
    CHECK(&info == &cpu_info());
    CHECK_FALSE(info.model.empty());
    CHECK(info.logical_cores >= 1);
    CHECK(info.physical_cores >= 1);
    CHECK(info.physical_cores <= info.logical_cores);
    CHECK(info.numa_nodes >= 1);
    CHECK(info.numa_nodes <= info.logical_cores);
    CHECK(info.caches.l1d >= 4 << 10);
    CHECK(info.caches.l1d <= 1 << 20);
    CHECK(info.caches.l2 >= info.caches.l1d);
    CHECK(info.caches.l3 >= info.caches.l2);
    CHECK(std::set<std::string_view>(info.features.begin(), info.features.end()).size() == info.features.size());
}

TEST_CASE("the features of an available ISA are announced") {
    const auto features = cpu_info().features;
    const auto has = [&](const char* name) { return std::find(features.begin(), features.end(), name) != features.end(); };
    for (const Isa isa : available_isas()) {
        if (isa == Isa::sse4_2) CHECK(has("sse4.2"));
        if (isa == Isa::avx2) CHECK((has("avx2") && has("fma")));
        if (isa == Isa::avx512) CHECK((has("avx512f") && has("avx512bw") && has("avx512dq") && has("avx512vl")));
        if (isa == Isa::neon) CHECK(has("neon"));
    }
}

TEST_CASE("of absurdly large caches only so much is counted on") {
    const CacheSizes small{32 << 10, 1 << 20, 16 << 20, true},
        absurd{64 << 10, std::int64_t{1} << 40, std::int64_t{260} << 20, true};
    CHECK(small.usable().l2 == small.l2);
    CHECK(small.usable().l3 == small.l3);
    CHECK(absurd.usable().l1d == absurd.l1d);
    CHECK(absurd.usable().l2 == 4 << 20);
    CHECK(absurd.usable().l3 == 32 << 20);
    CHECK(absurd.usable().detected);
}

}  // namespace
}  // namespace headwise::test
