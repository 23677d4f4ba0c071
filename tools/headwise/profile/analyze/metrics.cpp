#include "profile/analyze/metrics.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include "profile/analyze/simulate.hpp"
#include "profile/analyze/workers.hpp"

namespace headwise::tools {
namespace {

void add_counters(Metrics& m, const CounterValues& all, const CounterValues& one) {
    m.ipc_scaling = all.instructions_per_cycle() / one.instructions_per_cycle();
    m.frequency_scaling = all.gigahertz() / one.gigahertz();
}

}  // namespace

double ideal_seconds(const Recording& recording) {
    struct Loop {
        std::vector<SimulatedTask> tasks;
        std::map<int, double> busy;  // of each worker
    };
    std::vector<Loop> loops(recording.loops.size());
    for (const TaskRecord& task : recording.tasks) {
        Loop& loop = loops[static_cast<std::size_t>(task.run)];
        loop.tasks.push_back({.seconds = seconds_of(task)});
        loop.busy[task.worker] += seconds_of(task);
    }
    double seconds = serial_seconds(recording);
    for (std::size_t i = 0; i < loops.size(); ++i) {
        double longest = 0;
        for (const auto& [worker, busy] : loops[i].busy) longest = std::max(longest, busy);
        seconds += std::max(simulate(loops[i].tasks, std::max(recording.loops[i].workers, 1)), longest);
    }
    return seconds;
}

Metrics metrics(const Recording& recording, const Recording& one_thread) {
    double total = 0, most = 0;
    for (const WorkerShare& share : worker_shares(recording)) {
        total += share.busy;
        most = std::max(most, share.busy);
    }
    const double ideal = ideal_seconds(recording), threads = recording.threads;
    Metrics m;
    m.load_balance = total / threads / most;
    m.serialization_efficiency = most / ideal;
    m.transfer_efficiency = ideal / recording.seconds;
    m.communication_efficiency = most / recording.seconds;
    m.parallel_efficiency = m.load_balance * m.communication_efficiency;
    m.computation_scaling = busy_seconds(one_thread) / total;
    m.global_efficiency = m.parallel_efficiency * m.computation_scaling;
    m.speedup = one_thread.seconds / recording.seconds;
    if (recording.threads > 1) m.karp_flatt = (1 / m.speedup - 1 / threads) / (1 - 1 / threads);
    if (recording.counters && one_thread.counters) add_counters(m, *recording.counters, *one_thread.counters);
    return m;
}

}  // namespace headwise::tools
