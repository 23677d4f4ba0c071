#include "measure/machine_report.hpp"

#include <fmt/format.h>

namespace headwise::tools {
namespace {

nlohmann::ordered_json by_threads(const std::map<int, double>& values) {
    nlohmann::ordered_json json = nlohmann::ordered_json::object();
    for (const auto& [threads, value] : values) json[std::to_string(threads)] = value;
    return json;
}

}  // namespace

std::string threads_text(int threads) {
    return fmt::format("{} thread{}", threads, threads == 1 ? "" : "s");
}

std::string machine_text(const MachinePeaks& peaks) {
    const CpuInfo& cpu = cpu_info();
    std::string text = fmt::format("{}, {} core{}, ISA {} ({})\n", cpu.model, cpu.physical_cores,
                                   cpu.physical_cores == 1 ? "" : "s", isa_name(peaks.isa), isa_reason());
    for (const int threads : peaks.thread_counts) {
        text += fmt::format("{}: FMA peak {:.1f} GF/s, read bandwidth {:.1f} GB/s\n", threads_text(threads),
                            peaks.multiply_add_gflops.at(threads), peaks.read_gigabytes.at(threads));
    }
    return text;
}

nlohmann::ordered_json machine_json(const MachinePeaks& peaks) {
    const CpuInfo& cpu = cpu_info();
    return {{"cpu", cpu.model},
            {"isa", isa_name(peaks.isa)},
            {"threads", cpu.logical_cores},
            {"fma_peak_gflops", by_threads(peaks.multiply_add_gflops)},
            {"read_bandwidth_gbs", by_threads(peaks.read_gigabytes)}};
}

}  // namespace headwise::tools
