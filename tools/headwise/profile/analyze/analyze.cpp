#include "profile/analyze/analyze.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "profile/analyze/diagnosis.hpp"

namespace headwise::tools {
namespace {

Roofline roofline_of(const RecordedRun& run, const Workload& workload) {
    return roofline(workload.flops(), workload.read_bytes(), run.median.seconds, run.yardsticks.fma_gflops,
                    run.yardsticks.read_gb_per_s);
}

OneThreadCosts costs_of(std::span<const RecordedRun> recorded, const Workload& workload) {
    OneThreadCosts costs = one_thread_costs(recorded.front().median, recorded.front().task_seconds);
    if (const std::optional<AttentionExplanation> attention = workload.explain_attention()) {
        costs.key_chunks = attention->key_chunks;
        costs.divide = [&workload](int available) {
            const AttentionExplanation divided = *workload.explain_attention(available);
            return AttentionDivision{.workers = divided.workers, .keys_split = divided.keys_split};
        };
    }
    const RecordedRun& widest = *std::ranges::max_element(recorded, {}, [](const RecordedRun& run) { return run.setting.threads; });
    if (const Roofline roof = roofline_of(widest, workload); roof.by_bandwidth) costs.bandwidth = 1e9 * roof.read_gb_per_s;
    return costs;
}

}  // namespace

std::vector<ProfiledRun> analyze(const std::string& name, const std::string& operation, const Workload& workload,
                                 std::span<const RecordedRun> recorded) {
    const Recording& one_thread = recorded.front().median;
    const OneThreadCosts costs = costs_of(recorded, workload);
    std::vector<int> thread_counts;
    for (const RecordedRun& run : recorded) thread_counts.push_back(run.setting.threads);
    const std::vector<WhatIf> table = what_if(costs, thread_counts);

    std::vector<ProfiledRun> runs;
    for (const RecordedRun& run : recorded) {
        ProfiledRun& result = runs.emplace_back(ProfiledRun{.name = name,
                                                            .operation = operation,
                                                            .schedule = run.setting.schedule,
                                                            .repeats = run.repeats,
                                                            .recording = run.median,
                                                            .workers = worker_shares(run.median),
                                                            .heads = head_shares(run.median),
                                                            .metrics = metrics(run.median, one_thread),
                                                            .roofline = roofline_of(run, workload),
                                                            .what_if = table,
                                                            .diagnosis = {}});
        Diagnosis found = diagnosis(result, one_thread, costs);
        result.diagnosis = std::move(found.lines);
        result.disturbance = found.disturbance;
    }
    return runs;
}

}  // namespace headwise::tools
