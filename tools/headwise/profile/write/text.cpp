#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "measure/machine_report.hpp"
#include "profile/write/reports.hpp"
#include "text/printable.hpp"

namespace headwise::tools {
namespace {

constexpr std::size_t kShownHeads = 8;
constexpr std::array<int, 9> kShownWorkers{1, 2, 4, 8, 16, 32, 64, 128, 256};

constexpr double kShownAboveOne = 1.0005;  // with one digit after the point, in percent

std::string duration(double seconds) {
    if (seconds < 1e-3) return fmt::format("{:.1f} us", 1e6 * seconds);
    return seconds < 1 ? fmt::format("{:.3f} ms", 1e3 * seconds) : fmt::format("{:.3f} s", seconds);
}

std::string disturbance_text(const ProfiledRun& run) {
    if (run.disturbed())
        return fmt::format("  DISTURBED   other programs, or a slower core, cost at least {:.1f} % of worker time{}\n",
                           100 * run.disturbance,
                           run.attempts > 1 ? fmt::format("; the least disturbed of {} measurements", run.attempts) : "");
    return run.attempts > 1 ? fmt::format("  repeated    the least disturbed of {} measurements of this case\n", run.attempts) : "";
}

std::string metrics_text(const ProfiledRun& run) {
    const Metrics& m = run.metrics;
    std::string text = fmt::format(
        "  efficiency  parallel {:.1f} % = load balance {:.1f} % x serialization {:.1f} % x transfer {:.1f} %\n",
        100 * m.parallel_efficiency, 100 * m.load_balance, 100 * m.serialization_efficiency, 100 * m.transfer_efficiency);
    text += fmt::format("              global {:.1f} % = parallel x computation scaling {:.1f} %", 100 * m.global_efficiency,
                        100 * m.computation_scaling);
    if (m.ipc_scaling && m.frequency_scaling)
        text += fmt::format(" (instructions a cycle {:.1f} %, clock {:.1f} %)", 100 * *m.ipc_scaling, 100 * *m.frequency_scaling);
    if (m.karp_flatt) text += fmt::format("; serial fraction (Karp-Flatt) {:.1f} %", 100 * *m.karp_flatt);
    if (m.computation_scaling >= kShownAboveOne)
        text += "\n              computation scaling above 100 %: the tasks took less time in all than on one thread";
    return text + "\n";
}

const WhatIf* predicted(const ProfiledRun& run, int workers, AttentionSchedule schedule) {
    const auto place = std::ranges::find_if(
        run.what_if, [&](const WhatIf& entry) { return entry.workers == workers && entry.schedule == schedule; });
    return place == run.what_if.end() ? nullptr : &*place;
}

/// How well the simulation does where it can be held against a measurement.
std::string prediction_text(const ProfiledRun& run) {
    const WhatIf* one = predicted(run, 1, AttentionSchedule::automatic);
    const WhatIf* here = predicted(run, run.recording.threads, run.schedule);
    if (!one || !here) return "";
    return fmt::format("  simulation  predicted {:.2f}x ({}), measured {:.2f}x ({})\n", one->seconds / here->seconds,
                       duration(here->seconds), run.metrics.speedup, duration(run.recording.seconds));
}

std::string roofline_text(const Roofline& roof) {
    return fmt::format(
        "  roofline    {:.3g} FLOPs a byte: bound by {}; {:.1f} GF/s, {:.1f} % of the roof (FMA {:.1f} GF/s, reading "
        "{:.1f} GB/s)\n",
        roof.intensity, roof.by_bandwidth ? "bandwidth" : "arithmetic", roof.gflops, 100 * roof.gflops / roof.roof_gflops(),
        roof.fma_gflops, roof.read_gb_per_s);
}

std::string workers_text(const ProfiledRun& run) {
    std::string text =
        fmt::format("  {:>10}{:>12}{:>12}{:>12}{:>12}{:>8}{:>8}\n", "worker", "busy", "idle", "wake-up", "tail", "tasks", "heads");
    for (const WorkerShare& share : run.workers)
        text += fmt::format("  {:>10}{:>12}{:>12}{:>12}{:>12}{:>8}{:>8}\n", share.worker, duration(share.busy),
                            duration(share.idle), duration(share.wake_up), duration(share.tail), share.tasks, share.heads);
    return text;
}

std::string head_text(const HeadShare& head) {
    const std::string heads =
        head.heads == 1 ? fmt::format("{}", head.head) : fmt::format("{}-{}", head.head, head.head + head.heads - 1);
    return fmt::format("  {:>10}{:>12}{:>12}{:>11.1f}%{:>12.1f}{:>11.2f}x  {}\n", heads, head.batch, duration(head.seconds),
                       100 * head.share, head.gflops(), head.ratio_to_median, fmt::join(head.workers, ","));
}

std::string heads_text(const ProfiledRun& run) {
    std::vector<HeadShare> heads = run.heads;
    std::ranges::sort(heads, {}, [](const HeadShare& head) { return std::tuple(-head.seconds, head.batch, head.head); });
    std::string text = fmt::format("  {:>10}{:>12}{:>12}{:>12}{:>12}{:>12}  {}\n", "head", "batch", "time", "share", "GF/s",
                                   "of median", "workers");
    for (const HeadShare& head : std::span(heads).first(std::min(heads.size(), kShownHeads))) text += head_text(head);
    if (heads.size() > kShownHeads) text += fmt::format("  {:>10} more, none of which takes longer\n", heads.size() - kShownHeads);
    return text;
}

}  // namespace

std::string profile_text(const ProfiledRun& run) {
    std::string text = fmt::format("\n{}: {}, schedule {}: {} in {} tasks, the median of {}\n", printable(run.name),
                                   threads_text(run.recording.threads), schedule_name(run.schedule),
                                   duration(run.recording.seconds), run.recording.tasks.size(), run.repeats);
    if (run.recording.dropped > 0)
        text +=
            fmt::format("  INCOMPLETE  {} records had no room: times of heads and workers are too low\n", run.recording.dropped);
    text += disturbance_text(run) + metrics_text(run) + prediction_text(run) + roofline_text(run.roofline) + workers_text(run) +
            heads_text(run);
    for (const std::string& line : run.diagnosis) text += fmt::format("  - {}\n", line);
    return text;
}

std::string what_if_text(std::span<const ProfiledRun> runs_of_case) {
    const ProfiledRun& run = runs_of_case.front();
    std::string text =
        fmt::format("\n{}: speedup on other numbers of workers, simulated\n  {:<16}", printable(run.name), "workers");
    for (const int workers : kShownWorkers) text += fmt::format("{:>8}", workers);
    text += "\n";
    const WhatIf* one = predicted(run, 1, AttentionSchedule::automatic);
    for (const auto schedule : {AttentionSchedule::heads, AttentionSchedule::heads_queries, AttentionSchedule::automatic}) {
        if (!predicted(run, 1, schedule)) continue;
        text += fmt::format("  {:<16}", schedule_name(schedule));
        for (const int workers : kShownWorkers)
            text += fmt::format("{:>7.2f}x", one->seconds / predicted(run, workers, schedule)->seconds);
        text += "\n";
    }
    return text;
}

}  // namespace headwise::tools
