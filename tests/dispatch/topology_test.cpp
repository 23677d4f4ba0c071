// Cores and caches from copies of Linux's /sys/devices/system as different machines have it.
#include <doctest/doctest.h>
#include <sched.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "engine/dispatch/topology.hpp"
#include "tests/support/system_directory.hpp"

namespace headwise::test {
namespace {

void write_cache(const SystemDirectory& system, int cpu, int index, const std::string& level, const std::string& type,
                 const std::string& size) {
    const std::string folder = "cpu/cpu" + std::to_string(cpu) + "/cache/index" + std::to_string(index);
    system.write(folder + "/level", level);
    system.write(folder + "/type", type);
    system.write(folder + "/size", size);
}

TEST_CASE("caches of a machine with three levels") {
    const SystemDirectory system;
    write_cache(system, 0, 0, "1", "Data", "48K");
    write_cache(system, 0, 1, "1", "Instruction", "32K");
    write_cache(system, 0, 2, "2", "Unified", "1280K");
    write_cache(system, 0, 3, "3", "Unified", "36M");
    const CacheSizes caches = detect_caches(system.path(), {0});
    CHECK(caches.l1d == 48 << 10);
    CHECK(caches.l2 == 1280 << 10);
    CHECK(caches.l3 == 36 << 20);
    CHECK(caches.detected);
}

TEST_CASE("without an L3 the L2 stands in for it") {
    const SystemDirectory system;
    write_cache(system, 0, 0, "1", "Data", "64K");
    write_cache(system, 0, 1, "2", "Unified", "2M");
    const CacheSizes caches = detect_caches(system.path(), {0});
    CHECK(caches.l2 == 2 << 20);
    CHECK(caches.l3 == 2 << 20);
}

TEST_CASE("where cores differ, each level is the smallest that one of the cores has") {
    const SystemDirectory system;
    const auto core = [&](int cpu, const std::string& l1, const std::string& l2, const std::string& l3) {
        write_cache(system, cpu, 0, "1", "Data", l1);
        write_cache(system, cpu, 1, "2", "Unified", l2);
        if (!l3.empty()) write_cache(system, cpu, 2, "3", "Unified", l3);
    };
    core(0, "48K", "2M", "24M");
    core(1, "32K", "4M", "24M");  // a larger L2 of a cluster, a smaller L1
    core(2, "64K", "1M", "");     // off the L3: its L2 is its last cache
    const auto sizes = [&](const std::vector<int>& processors) {
        const CacheSizes caches = detect_caches(system.path(), processors);
        CHECK(caches.detected);
        return std::vector{caches.l1d >> 10, caches.l2 >> 10, caches.l3 >> 10};
    };
    CHECK(sizes({0}) == std::vector<std::int64_t>{48, 2048, 24576});
    CHECK(sizes({0, 1}) == std::vector<std::int64_t>{32, 2048, 24576});
    CHECK(sizes({1, 0}) == std::vector<std::int64_t>{32, 2048, 24576});
    CHECK(sizes({0, 1, 2}) == std::vector<std::int64_t>{32, 1024, 1024});
    CHECK(sizes({1, 7}) == std::vector<std::int64_t>{32, 4096, 24576});  // of 7 nothing is known
}

TEST_CASE("threads worth running under a quota: rounded up, at least one, at most the cores") {
    CHECK(usable_cores(8, 0) == 8);
    CHECK(usable_cores(8, 1.5) == 2);
    CHECK(usable_cores(8, 2) == 2);
    CHECK(usable_cores(8, 0.1) == 1);
    CHECK(usable_cores(8, 8.5) == 8);
    CHECK(usable_cores(8, 1e9) == 8);
}

TEST_CASE("files that say nothing lead to the C library's answer or the documented sizes, all positive") {
    const SystemDirectory system;
    for (const std::string size : {"", "K", "-32K", "0", "99999999999999999999K", "32Q"}) {
        write_cache(system, 0, 0, "1", "Data", size);
        const CacheSizes caches = detect_caches(system.path(), {0});
        CHECK(caches.l1d > 0);
        CHECK(caches.l2 > 0);
        CHECK(caches.l3 > 0);
        if (!caches.detected) {
            CHECK(caches.l1d == 32 << 10);
            CHECK(caches.l2 == 512 << 10);
            CHECK(caches.l3 == 8 << 20);
        }
    }
    CHECK(detect_caches("/nonexistent", {0, 1}).l1d > 0);
}

TEST_CASE("hardware threads of one core count once, processors without topology as cores of their own") {
    const SystemDirectory system;
    for (const int cpu : {0, 2}) system.write("cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list", "0,2");
    for (const int cpu : {1, 3}) system.write("cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list", "1,3");
    CHECK(count_physical_cores(system.path(), {0, 1, 2, 3}) == 2);
    CHECK(count_physical_cores(system.path(), {0, 2}) == 1);
    CHECK(count_physical_cores(system.path(), {0, 1}) == 2);
    CHECK(count_physical_cores(system.path(), {4, 5, 6}) == 3);
}

TEST_CASE("only the memory nodes of allowed processors count") {
    const SystemDirectory system;
    system.write("node/node0/cpulist", "0-3");
    system.write("node/node1/cpulist", "4-7");
    system.write("node/node2/cpulist", "");  // memory without processors
    system.write("node/possible", "0-2");
    CHECK(count_numa_nodes(system.path(), {0, 1, 2, 3, 4}) == 2);
    CHECK(count_numa_nodes(system.path(), {5, 6}) == 1);
    CHECK(count_numa_nodes("/nonexistent", {0}) == 1);
}

TEST_CASE("lists of processors as the kernel writes them, and what is none") {
    CHECK(parse_processor_list("0-3,8,10-11") == std::vector{0, 1, 2, 3, 8, 10, 11});
    CHECK(parse_processor_list("5") == std::vector{5});
    for (const std::string text : {"", "x", "3-1", "-2", "1-", "1;2", "1,,2", "0-99999999", "99999999999999999999"})
        CHECK_MESSAGE(parse_processor_list(text).empty(), text);
}

TEST_CASE("processors that are present, allowed or not") {
    const SystemDirectory system;
    CHECK(present_processors(system.path()).empty());
    system.write("cpu/present", "0-5");
    CHECK(present_processors(system.path()) == std::vector{0, 1, 2, 3, 4, 5});
}

TEST_CASE("this process may run somewhere") {
    const std::vector<int> processors = allowed_processors();
    CHECK_FALSE(processors.empty());
    CHECK(std::is_sorted(processors.begin(), processors.end()));
}

TEST_CASE("a pinned thread that asks first does not stand for the process") {
    const std::vector<int> processors = allowed_processors();
    std::vector<int> seen;
    std::thread([&] {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(static_cast<std::size_t>(processors.back()), &one);
        CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
        seen = allowed_processors();
    }).join();
    CHECK(seen == processors);
}

}  // namespace
}  // namespace headwise::test
