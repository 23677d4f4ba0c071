#include <fmt/format.h>

#include <algorithm>

#include "profile/write/reports.hpp"
#include "text/csv_field.hpp"

namespace headwise::tools {
namespace {

std::string or_empty(const std::optional<double>& value) {
    return value ? fmt::format("{}", *value) : "";
}

double largest_ratio(const std::vector<HeadShare>& heads) {
    return heads.empty() ? 0 : std::ranges::max(heads, {}, &HeadShare::ratio_to_median).ratio_to_median;
}

}  // namespace

std::string profile_csv(const ProfileReport& report) {
    std::string text =
        "case,operation,threads,schedule,seconds,repeats,tasks,load_balance,serialization_efficiency,transfer_efficiency,"
        "communication_efficiency,parallel_efficiency,computation_scaling,ipc_scaling,frequency_scaling,global_efficiency,speedup,"
        "karp_flatt,slowest_head_ratio,intensity,gflops,fma_gflops,read_gb_per_s,bound,disturbed,disturbance,attempts\n";
    for (const ProfiledRun& run : report.runs) {
        const Metrics& m = run.metrics;
        const Roofline& roof = run.roofline;
        text += fmt::format("{},{},{},{},{},{},{},", csv_field(run.name), run.operation, run.recording.threads,
                            schedule_name(run.schedule), run.recording.seconds, run.repeats, run.recording.tasks.size());
        text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},", m.load_balance, m.serialization_efficiency, m.transfer_efficiency,
                            m.communication_efficiency, m.parallel_efficiency, m.computation_scaling, or_empty(m.ipc_scaling),
                            or_empty(m.frequency_scaling), m.global_efficiency, m.speedup, or_empty(m.karp_flatt));
        text += fmt::format("{},{},{},{},{},{},{},{},{}\n", largest_ratio(run.heads), roof.intensity, roof.gflops, roof.fma_gflops,
                            roof.read_gb_per_s, roof.by_bandwidth ? "bandwidth" : "compute", run.disturbed(), run.disturbance,
                            run.attempts);
    }
    return text;
}

}  // namespace headwise::tools
