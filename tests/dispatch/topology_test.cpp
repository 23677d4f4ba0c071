// Cores and caches from copies of Linux's /sys/devices/system as different machines have it.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "engine/dispatch/topology.hpp"

namespace headwise::test {
namespace {

/// A folder of small files that goes away with it.
class SystemDirectory {
  public:
    SystemDirectory() : path_(std::filesystem::temp_directory_path() / ("headwise_topology_test_" + std::to_string(getpid()))) {
        std::filesystem::remove_all(path_);
        std::filesystem::create_directories(path_);
    }
    ~SystemDirectory() { std::filesystem::remove_all(path_); }
    SystemDirectory(const SystemDirectory&) = delete;
    SystemDirectory& operator=(const SystemDirectory&) = delete;

    std::string path() const { return path_.string(); }

    void write(const std::string& file, const std::string& line) const {
        std::filesystem::create_directories((path_ / file).parent_path());
        std::ofstream(path_ / file) << line << '\n';
    }

    void write_cache(int index, const std::string& level, const std::string& type, const std::string& size) const {
        const std::string folder = "cpu/cpu0/cache/index" + std::to_string(index);
        write(folder + "/level", level);
        write(folder + "/type", type);
        write(folder + "/size", size);
    }

  private:
    std::filesystem::path path_;
};

TEST_CASE("caches of a machine with three levels") {
    const SystemDirectory system;
    system.write_cache(0, "1", "Data", "48K");
    system.write_cache(1, "1", "Instruction", "32K");
    system.write_cache(2, "2", "Unified", "1280K");
    system.write_cache(3, "3", "Unified", "36M");
    const CacheSizes caches = detect_caches(system.path());
    CHECK(caches.l1d == 48 << 10);
    CHECK(caches.l2 == 1280 << 10);
    CHECK(caches.l3 == 36 << 20);
    CHECK(caches.detected);
}

TEST_CASE("without an L3 the L2 stands in for it") {
    const SystemDirectory system;
    system.write_cache(0, "1", "Data", "64K");
    system.write_cache(1, "2", "Unified", "2M");
    const CacheSizes caches = detect_caches(system.path());
    CHECK(caches.l2 == 2 << 20);
    CHECK(caches.l3 == 2 << 20);
}

TEST_CASE("files that say nothing lead to the C library's answer or the documented sizes, all positive") {
    const SystemDirectory system;
    for (const std::string size : {"", "K", "-32K", "0", "99999999999999999999K", "32Q"}) {
        system.write_cache(0, "1", "Data", size);
        const CacheSizes caches = detect_caches(system.path());
        CHECK(caches.l1d > 0);
        CHECK(caches.l2 > 0);
        CHECK(caches.l3 > 0);
        if (!caches.detected) {
            CHECK(caches.l1d == 32 << 10);
            CHECK(caches.l2 == 512 << 10);
            CHECK(caches.l3 == 8 << 20);
        }
    }
    CHECK(detect_caches("/nonexistent").l1d > 0);
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

TEST_CASE("this process may run somewhere") {
    const std::vector<int> processors = allowed_processors();
    CHECK_FALSE(processors.empty());
    CHECK(std::is_sorted(processors.begin(), processors.end()));
}

}  // namespace
}  // namespace headwise::test
