#include <fmt/format.h>

#include <cstdio>
#include <map>

#include "arguments/engine_options.hpp"
#include "commands/commands.hpp"
#include "headwise/cpu.hpp"
#include "measure/machine_probe.hpp"
#include "text/json_text.hpp"

namespace headwise::tools {
namespace {

struct Peaks {
    std::map<int, double> multiply_add_gflops, read_gigabytes;  // by number of threads: 1 and all
};

Peaks measure_peaks() {
    Peaks peaks;
    MachineProbe probe(active_isa());
    for (const int threads : {1, cpu_info().usable_cores}) {
        ThreadTeam team(threads);
        peaks.multiply_add_gflops[threads] = probe.best_multiply_add_gflops(team);
        peaks.read_gigabytes[threads] = probe.best_read_gigabytes(team);
    }
    return peaks;
}

std::vector<std::string> available_names() {
    std::vector<std::string> names;
    for (const Isa isa : available_isas()) names.emplace_back(isa_name(isa));
    return names;
}

std::string size_text(std::int64_t bytes) {
    return bytes % (1 << 20) == 0 ? fmt::format("{} MiB", bytes >> 20) : fmt::format("{} KiB", bytes >> 10);
}

std::string quota_text(const CpuInfo& cpu) {
    if (cpu.cpu_quota == 0) return "none: no control group bounds the processor time";
    return fmt::format("{:.3g} processors' time by control group: {} thread{} by default", cpu.cpu_quota, cpu.usable_cores,
                       cpu.usable_cores == 1 ? "" : "s");
}

void print_text(const Peaks& peaks) {
    const CpuInfo& cpu = cpu_info();
    const CacheSizes& caches = cpu.caches;
    fmt::print("CPU       {}\n", cpu.model);
    fmt::print("features  {}\n", fmt::join(cpu.features, " "));
    fmt::print("ISA       {} ({}); available: {}\n", isa_name(active_isa()), isa_reason(), fmt::join(available_names(), ", "));
    fmt::print("cores     {} physical, {} logical, {} NUMA node{}\n", cpu.physical_cores, cpu.logical_cores, cpu.numa_nodes,
               cpu.numa_nodes == 1 ? "" : "s");
    fmt::print("quota     {}\n", quota_text(cpu));
    fmt::print("caches    L1d {}, L2 {}, L3 {}{}\n\n", size_text(caches.l1d), size_text(caches.l2), size_text(caches.l3),
               caches.detected ? "" : " (assumed: the system does not tell)");
    fmt::print("threads   FMA peak ({}, f32)   read bandwidth\n", isa_name(active_isa()));
    for (const auto& [threads, gflops] : peaks.multiply_add_gflops) {
        fmt::print("{:<8}  {:>8.1f} GF/s{:<11}   {:>6.1f} GB/s\n", threads, gflops, "", peaks.read_gigabytes.at(threads));
    }
}

void print_json(const Peaks& peaks) {
    using Json = nlohmann::ordered_json;
    const CpuInfo& cpu = cpu_info();
    const auto by_threads = [](const std::map<int, double>& values) {
        Json json = Json::object();
        for (const auto& [threads, value] : values) json[std::to_string(threads)] = value;
        return json;
    };
    const Json json{{"schema", "headwise.info/1"},
                    {"cpu", cpu.model},
                    {"features", std::vector(cpu.features.begin(), cpu.features.end())},
                    {"isa", isa_name(active_isa())},
                    {"isa_reason", isa_reason()},
                    {"available_isas", available_names()},
                    {"physical_cores", cpu.physical_cores},
                    {"logical_cores", cpu.logical_cores},
                    {"numa_nodes", cpu.numa_nodes},
                    {"cpu_quota", cpu.cpu_quota == 0 ? Json(nullptr) : Json(cpu.cpu_quota)},
                    {"usable_cores", cpu.usable_cores},
                    {"caches",
                     {{"l1d_bytes", cpu.caches.l1d},
                      {"l2_bytes", cpu.caches.l2},
                      {"l3_bytes", cpu.caches.l3},
                      {"detected", cpu.caches.detected}}},
                    {"fma_peak_gflops", by_threads(peaks.multiply_add_gflops)},
                    {"read_bandwidth_gbs", by_threads(peaks.read_gigabytes)}};
    fmt::print("{}", json_text(json, 2));
}

}  // namespace

void add_info_command(CLI::App& program) {
    CLI::App* command = program.add_subcommand("info", "What this machine is and what it can do: features, caches, measured peaks");
    const auto json = std::make_shared<bool>(false);
    command->add_flag("--json", *json, "print JSON");
    const auto isa = add_isa_option(*command);
    command->callback([json, isa] {
        choose_isa(*isa);
        const Peaks peaks = measure_peaks();
        *json ? print_json(peaks) : print_text(peaks);
    });
}

}  // namespace headwise::tools
