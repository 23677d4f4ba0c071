#include "engine/dispatch/topology.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>

namespace headwise {
namespace {

/// The first line of a small file; empty when it cannot be read.
std::string first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

/// "32K", "1024K", "32M" in bytes; 0 when it is not a size.
std::int64_t parse_cache_size(const std::string& text) {
    std::int64_t size = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, size);
    if (error != std::errc{} || size <= 0 || size > (std::int64_t{1} << 40)) return 0;
    if (rest == end) return size;
    switch (*rest) {
        case 'K': return size << 10;
        case 'M': return size << 20;
        case 'G': return size << 30;
        default: return 0;
    }
}

/// One processor's data and unified caches by level, 0 where there is none: sizes[1] is the L1's.
struct CacheLevels {
    std::int64_t size[4] = {};
};

CacheLevels caches_from_sysfs(const std::string& system_directory, int processor) {
    CacheLevels levels;
    for (int index = 0;; ++index) {
        const std::string directory =
            system_directory + "/cpu/cpu" + std::to_string(processor) + "/cache/index" + std::to_string(index);
        const std::string level = first_line(directory + "/level");
        if (level.empty()) return levels;
        if (level.size() != 1 || level[0] < '1' || level[0] > '3' || first_line(directory + "/type") == "Instruction") continue;
        levels.size[level[0] - '0'] = parse_cache_size(first_line(directory + "/size"));
    }
}

/// The C library's view, for kernels that leave the sysfs files out. Its L3 may be that of all sockets together, hence the second
/// choice.
CacheLevels caches_from_sysconf() {
    CacheLevels levels;
#if defined(_SC_LEVEL1_DCACHE_SIZE)
    const auto query = [](int name) { return std::max<std::int64_t>(0, sysconf(name)); };
    levels.size[1] = query(_SC_LEVEL1_DCACHE_SIZE);
    levels.size[2] = query(_SC_LEVEL2_CACHE_SIZE);
    levels.size[3] = query(_SC_LEVEL3_CACHE_SIZE);
#endif
    return levels;
}

bool complete(const CacheLevels& levels) {
    return levels.size[1] > 0 && levels.size[2] > 0;
}

struct CpuSetFree {
    void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};

/// The affinity mask of a thread, 0 for the calling one; empty where the system does not tell.
std::vector<int> processors_of(pid_t thread) {
    // The kernel refuses a mask that is smaller than its own, whose size no call tells: double it until it fits.
    for (int capacity = CPU_SETSIZE; capacity <= (1 << 20); capacity *= 2) {
        const auto set_capacity = static_cast<std::size_t>(capacity);
        const std::unique_ptr<cpu_set_t, CpuSetFree> set(CPU_ALLOC(set_capacity));
        const std::size_t bytes = CPU_ALLOC_SIZE(set_capacity);
        if (!set) return {};
        CPU_ZERO_S(bytes, set.get());
        if (sched_getaffinity(thread, bytes, set.get()) == 0) {
            std::vector<int> processors;
            for (int cpu = 0; cpu < capacity; ++cpu) {
                if (CPU_ISSET_S(static_cast<std::size_t>(cpu), bytes, set.get())) processors.push_back(cpu);
            }
            return processors;
        }
        if (errno != EINVAL) return {};
    }
    return {};
}

}  // namespace

std::vector<int> allowed_processors() {
    std::vector<int> processors = processors_of(0), of_main_thread = processors_of(getpid()), all;
    std::set_union(processors.begin(), processors.end(), of_main_thread.begin(), of_main_thread.end(), std::back_inserter(all));
    if (all.empty()) return {0};
    return all;
}

std::vector<int> present_processors(const std::string& system_directory) {
    return parse_processor_list(first_line(system_directory + "/cpu/present"));
}

CacheSizes detect_caches(const std::string& system_directory, const std::vector<int>& processors) {
    CacheSizes least;
    const auto add = [&least](const CacheLevels& levels) {
        if (!complete(levels)) return;
        const CacheSizes one{levels.size[1], levels.size[2], levels.size[3] > 0 ? levels.size[3] : levels.size[2], true};
        if (!least.detected)
            least = one;
        else
            least = {std::min(least.l1d, one.l1d), std::min(least.l2, one.l2), std::min(least.l3, one.l3), true};
    };
    for (const int processor : processors) add(caches_from_sysfs(system_directory, processor));
    if (!least.detected) add(caches_from_sysconf());
    return least;
}

int count_physical_cores(const std::string& system_directory, const std::vector<int>& processors) {
    std::set<std::string> cores;  // each named by the list of its hardware threads
    for (const int processor : processors) {
        const std::string topology = system_directory + "/cpu/cpu" + std::to_string(processor) + "/topology/";
        const std::string siblings = first_line(topology + "thread_siblings_list");
        cores.insert(siblings.empty() ? std::to_string(processor) : siblings);
    }
    return std::max(1, static_cast<int>(cores.size()));
}

int usable_cores(int logical_cores, double cpu_quota) {
    if (!(cpu_quota > 0)) return logical_cores;
    return static_cast<int>(std::clamp(std::ceil(cpu_quota), 1.0, static_cast<double>(logical_cores)));
}

int count_numa_nodes(const std::string& system_directory, const std::vector<int>& processors) {
    int count = 0;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(system_directory + "/node", error)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with("node")) continue;
        const std::vector<int> members = parse_processor_list(first_line(entry.path().string() + "/cpulist"));
        const bool ours = std::any_of(members.begin(), members.end(),
                                      [&](int cpu) { return std::binary_search(processors.begin(), processors.end(), cpu); });
        if (ours) ++count;
    }
    return std::max(1, count);
}

std::vector<int> parse_processor_list(const std::string& text) {
    constexpr int kMaximum = 1 << 20;  // a broken file must not make a huge list
    std::vector<int> processors;
    const char* position = text.data();
    const char* const end = position + text.size();
    while (position != end) {
        int first = 0;
        auto [rest, error] = std::from_chars(position, end, first);
        int last = first;
        if (error == std::errc{} && rest != end && *rest == '-') {
            const auto range_end = std::from_chars(rest + 1, end, last);
            rest = range_end.ptr;
            error = range_end.ec;
        }
        if (error != std::errc{} || first < 0 || last < first || last > kMaximum) return {};
        for (int cpu = first; cpu <= last; ++cpu) processors.push_back(cpu);
        if (rest != end && *rest != ',') return {};
        position = rest == end ? end : rest + 1;
    }
    return processors;
}

}  // namespace headwise
