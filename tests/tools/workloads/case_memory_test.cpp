#include "workloads/case_memory.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "buffers/memory_limit.hpp"
#include "engine/attention/call_memory.hpp"
#include "files/attention_file.hpp"
#include "files/attention_rules.hpp"
#include "files/attention_tensors.hpp"
#include "files/safetensors.hpp"
#include "headwise/attention.hpp"
#include "headwise/attention_weights.hpp"
#include "headwise/rope.hpp"
#include "measure/thread_team.hpp"
#include "tests/support/system_directory.hpp"
#include "text/usage_error.hpp"
#include "variants/bytes.hpp"
#include "variants/check.hpp"
#include "variants/suite.hpp"
#include "variants/value_suite.hpp"
#include "workloads/workload.hpp"

using namespace headwise::tools;
using headwise::test::SystemDirectory;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

/// "VmHWM" or "VmRSS" of this process, in bytes.
double memory_of_process(const std::string& name) {
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);) {
        long kibibytes = 0;
        if (const std::size_t digit = line.find_first_of("0123456789"); line.starts_with(name + ":") && digit != std::string::npos)
            return std::from_chars(line.data() + digit, line.data() + line.size(), kibibytes),
                   1024.0 * static_cast<double>(kibibytes);
    }
    return 0;
}

/// The most memory that the process had beyond what it has now while the case was made, run and checked.
double peak_bytes(const CaseSizes& sizes, ThreadTeam& team) {
    const double before = memory_of_process("VmRSS");
    std::ofstream("/proc/self/clear_refs") << 5;  // the peak is what there is now
    const auto workload = make_workload(sizes);
    team.run([&] { workload->prepare()(); });
    workload->check();
    return memory_of_process("VmHWM") - before;
}

TEST_CASE("what a case is said to take is what it takes, tensors, naive loops in f64 and workspaces together") {
    if (kSanitized || !std::ofstream("/proc/self/clear_refs").is_open()) {
        std::puts("not tested: a sanitizer's own memory counts, or there is no /proc/self/clear_refs");
        return;
    }
    ThreadTeam team(2);
    make_workload(parse_case("layer:s=64,model=64,heads=1"))->check();  // what any case takes
    for (const std::string text :
         {"attention:hq=2,sq=1,skv=150000,d=64", "attention:hq=16,hkv=1,sq=1,skv=200000,d=64,dv=32",
          "attention:hq=64,sq=8192,skv=2,d=64", "matmul:m=2,n=4096,k=4096", "matmul:batch=3,m=2,n=2048,k=4096",
          "matmul:m=4096,n=64,k=4096", "layer:s=64,model=2048,heads=16", "layer:b=64,s=256,model=512,heads=8,kv_heads=2"}) {
        const CaseSizes sizes = parse_case(text);
        const double said = case_bytes(sizes, 2), taken = peak_bytes(sizes, team);
        CAPTURE(text);
        CAPTURE(said);
        CAPTURE(taken);
        CHECK(taken > 50e6);  // a case that shows
        CHECK(taken <= 1.02 * said);
        CHECK(said <= 1.5 * taken + 60e6);  // or cases are refused that would fit: the latter for what is bounded, not counted
    }
}

/// The most memory beyond what there is now while a file is read and run.
double peak_bytes(const AttentionFile& file, ThreadTeam& team) {
    const double before = memory_of_process("VmRSS");
    std::ofstream("/proc/self/clear_refs") << 5;
    const AttentionRules rules = read_attention_rules(file);
    const AttentionTensors tensors = read_attention_tensors(file, {}, rules);
    team.run([&] { headwise::attention(tensors.with_tensors(rules.arguments()), {}); });
    return memory_of_process("VmHWM") - before;
}

TEST_CASE("what a file is said to take is what its tensors and the result take, sums that are widened as well") {
    if (kSanitized || !std::ofstream("/proc/self/clear_refs").is_open()) {
        std::puts("not tested: a sanitizer's own memory counts, or there is no /proc/self/clear_refs");
        return;
    }
    ThreadTeam team(2);
    const std::string path = (std::filesystem::temp_directory_path() / fmt::format("headwise_{}.safetensors", getpid())).string();
    const std::vector<float> floats(std::size_t{1} << 24);
    std::vector<std::int32_t> sums(std::size_t{1} << 20, 16);
    sums.front() = 0;
    const std::vector<std::int64_t> count{std::ssize(sums)};
    const auto tensor = [&](const char* name, std::vector<std::int64_t> shape) {
        std::size_t size = 1;
        for (const std::int64_t extent : shape) size *= static_cast<std::size_t>(extent);
        return WrittenTensor(name, std::move(shape), std::span(floats).first(size));
    };
    const std::vector<std::vector<WrittenTensor>> files{
        {tensor("q", {1, 4, 2048, 16}), tensor("k", {1, 4, 2048, 16}), tensor("v", {1, 4, 2048, 16}),
         tensor("bias", {1, 4, 2048, 2048}), tensor("hidden", {16, 1024, 1024})},
        {tensor("q", {1, 1, 200000, 16}), tensor("k", {1, 1, 16, 16}), tensor("v", {1, 1, 16, 80})},
        {tensor("q", {1, 1, 16, 16}),
         tensor("k", {1, 1, 16, 16}),
         tensor("v", {1, 1, 16, 16}),
         {"cu_seqlens_q", count, sums},
         {"cu_seqlens_k", count, sums}}};
    for (const std::vector<WrittenTensor>& tensors : files) {
        write_safetensors(path, tensors);
        const AttentionFile file(path, Layout::bhsd);
        const double said = attention_file_bytes(file, 2), taken = peak_bytes(file, team);
        CAPTURE(tensors.back().name);
        CAPTURE(said);
        CAPTURE(taken);
        CHECK(taken > 20e6);
        CHECK(taken <= 1.02 * said);
        CHECK(said <= 1.5 * taken + 60e6);
    }
    std::filesystem::remove(path);
}

/// The most memory beyond what there is now during a call.
template <class Call>
double peak_bytes_of(const Call& call) {
    malloc_trim(0);  // or it reuses what others have freed, which is there now
    const double before = memory_of_process("VmRSS");
    std::ofstream("/proc/self/clear_refs") << 5;
    call();
    return memory_of_process("VmHWM") - before;
}

TEST_CASE("what RoPE and weights are said to take beside the tensors is what they take") {
    if (kSanitized || !std::ofstream("/proc/self/clear_refs").is_open()) {
        std::puts("not tested: a sanitizer's own memory counts, or there is no /proc/self/clear_refs");
        return;
    }
    const auto check = [](std::size_t bytes, double taken) {
        const auto said = static_cast<double>(bytes);
        CAPTURE(said);
        CAPTURE(taken);
        CHECK(taken > 20e6);
        CHECK(taken <= 1.02 * said + 1e6);
        CHECK(said <= 1.1 * taken + 5e6);
    };
    for (const auto& [dims, positions] : {std::pair{128L, 100'000L}, {512L, 1L << 31}, {64L, 100'000L}}) {
        CAPTURE(dims);
        check(headwise::rope_table_bytes(dims, positions), peak_bytes_of([&] { headwise::RopeTable({.dims = dims}, positions); }));
    }

    ThreadTeam team(1);  // two may leave it all to one of them
    const std::int64_t heads = 128, keys = 200'000, top = 1024;
    const FloatBuffer query(heads * 4), key(2 * keys * 4), means(heads * keys), weights(heads * top);
    std::vector<std::int32_t> top_keys(weights.span().size());
    const headwise::AttentionArguments arguments{.query = {query.data(), {1, heads, 1, 4}}, .key = {key.data(), {1, 2, keys, 4}}};
    const headwise::AttentionWeights results{.top_weights = {weights.data(), {1, heads, 1, top}},
                                             .top_keys = {top_keys.data(), {1, heads, 1, top}},
                                             .key_means = {means.data(), {1, heads, keys}}};
    const auto scratch = [&](int workers) {
        return headwise::weights_scratch_bytes({1, heads, 2, 1, keys, 4, 4}, {}, workers, top, keys);
    };
    check(scratch(1), peak_bytes_of([&] { team.run([&] { headwise::attention_weights(arguments, {}, {}, results); }); }));
    CHECK(scratch(2) > 1.9 * static_cast<double>(scratch(1)));
}

/// The most memory beyond what there is now while an entry is made, both of its calls are run and its own is checked.
double peak_bytes(const VariantEntry& entry, ThreadTeam& team) {
    const double before = memory_of_process("VmRSS");
    std::ofstream("/proc/self/clear_refs") << 5;
    const VariantWorkload workload = entry.make();
    team.run([&] {
        const auto plain = prepare(workload.plain), variant = prepare(workload.variant);
        plain();
        variant();
    });
    check_call(workload.variant);
    return memory_of_process("VmHWM") - before;
}

TEST_CASE("what an entry of a suite is said to take is what it takes, with its plain case") {
    if (kSanitized || !std::ofstream("/proc/self/clear_refs").is_open()) {
        std::puts("not tested: a sanitizer's own memory counts, or there is no /proc/self/clear_refs");
        return;
    }
    // Large where memory is and work is not.
    std::vector<VariantEntry> suite = variant_suite({.prefill = {1, 2, 2, 1024, 1024, 16, 16},
                                                     .grouped_prefill = {1, 2, 1, 1024, 1024, 16, 16},
                                                     .batched_prefill = {4, 2, 2, 512, 512, 16, 16},
                                                     .long_prefill = {1, 1, 1, 4096, 4096, 16, 16},
                                                     .even_batch = {16, 2, 2, 256, 256, 64, 64},
                                                     .speculation = {1, 8, 8, 8, 16384, 64, 64},
                                                     .decode = {8, 16, 4, 1, 2048, 64, 64},
                                                     .prefix_decode = {8, 16, 4, 1, 2176, 64, 64},
                                                     .shared_key_decode = {1, 8, 1, 1, 65536, 64, 64}});
    std::vector<VariantEntry> values = value_suite({.prefill = {1, 8, 8, 256, 4096, 64, 64},
                                                    .decode = {1, 32, 8, 1, 16384, 64, 64},
                                                    .weights = {1, 32, 8, 128, 2048, 16, 16},
                                                    .decode_weights = {1, 32, 8, 1, 16384, 64, 64},
                                                    .merge = {1, 16, 16, 4096, 16, 64, 64}});
    suite.insert(suite.end(), std::move_iterator(values.begin()), std::move_iterator(values.end()));
    ThreadTeam team(2);
    make_workload(parse_case("layer:s=64,model=64,heads=1"))->check();  // what any case takes
    std::map<std::string, std::pair<double, double>> largest;           // by base: said and taken
    std::set<std::pair<std::string, MoreBytes>> seen;
    for (const VariantEntry& entry : suite) {
        // Those that are said to take as much differ in numbers alone, but for values, of which these are the largest.
        const bool large = std::ranges::any_of(std::array{"bias 0,", "keys denormal", "results denormal", "NaN"},
                                               [&](const char* part) { return entry.name.find(part) != std::string::npos; });
        if (!seen.emplace(entry.base, entry.more).second && !large) continue;
        const double said = variant_bytes(entry, 2), taken = peak_bytes(entry, team);
        CAPTURE(entry.base);
        CAPTURE(entry.name);
        CAPTURE(said);
        CAPTURE(taken);
        CHECK(taken <= 1.02 * said);
        auto& [most_said, most_taken] = largest[entry.base];
        most_said = std::max(most_said, said);
        most_taken = std::max(most_taken, taken);
    }
    for (const auto& [base, most] : largest) {
        CAPTURE(base);
        CHECK(most.first <= 1.5 * most.second + 60e6);
    }
}

TEST_CASE("a suite that does not fit into memory is refused, by its largest entry") {
    for (const std::vector<VariantEntry>& suite : {variant_suite(), value_suite()}) {
        double largest = 0;
        for (const VariantEntry& entry : suite) largest = std::max(largest, variant_bytes(entry, 2));
        CHECK_NOTHROW(check_suite_memory("all", suite, 2, largest));
        CHECK_THROWS_AS(check_suite_memory("all", suite, 2, largest - 1), UsageError);
    }
}

TEST_CASE("a case that does not fit into memory is refused, however large") {
    const CaseSizes sizes = parse_case("matmul:m=1000,n=1000,k=1000");
    const double bytes = case_bytes(sizes, 4);
    CHECK(bytes > 12e6 + 8e6);  // three matrices in f32, one in f64
    CHECK_NOTHROW(check_case_memory(sizes, 4, bytes));
    CHECK_THROWS_AS(check_case_memory(sizes, 4, bytes - 1), UsageError);
    for (const std::string text : {"matmul:batch=2147483648,m=2147483648,n=2147483648,k=2147483648",
                                   "attention:b=2147483648,hq=2147483648,sq=2147483648,d=512",
                                   "layer:b=2147483648,s=2147483648,model=2147483648,heads=2147483648"})
        CHECK_THROWS_AS(check_case_memory(parse_case(text), 2, 1e12), UsageError);
}

TEST_CASE("free memory is what the system has or what the control group leaves, whichever is less") {
    const SystemDirectory system;
    CHECK(available_memory(system.path()) == 4e9);
    system.write("proc/meminfo",
                 "MemTotal:       24684084 kB\nMemFree:        23822784 kB\nMemAvailable:    2000000 kB\nBuffers: 2416 kB");
    CHECK(available_memory(system.path()) == 2048e6);
    system.write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
    system.write("proc/self/cgroup", "0::/box/inner");
    system.write("sys/fs/cgroup/box/memory.max", "1000000000");
    system.write("sys/fs/cgroup/box/memory.current", "250000000");
    CHECK(available_memory(system.path()) == 750e6);
    system.write("sys/fs/cgroup/box/memory.max", "5000000000");
    CHECK(available_memory(system.path()) == 2048e6);
    system.write("proc/meminfo", "MemTotal:       24684084 kB");
    CHECK(available_memory(system.path()) == 4750e6);
}

}  // namespace
