#include "profile/analyze/what_if.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

#include "profile/analyze/simulate.hpp"

namespace headwise::tools {
namespace {

using Task = OneThreadCosts::Task;
using Loop = OneThreadCosts::Loop;

// As the engine has them (engine/matmul/blocking.cpp).
constexpr double kProductFlopsOfWorker = 1 << 21;
constexpr int kProductTasksOfWorker = 8;

constexpr std::array<int, 16> kWorkers{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256};

int bounded_workers(double worth, int workers) {
    return static_cast<int>(std::clamp(worth, 1.0, static_cast<double>(workers)));
}

/// Tasks of one head, which follow each other, become one.
std::vector<Task> merged(const std::vector<Task>& tasks) {
    std::vector<Task> result;
    for (const Task& task : tasks) {
        if (result.empty() || result.back().batch != task.batch || result.back().head != task.head) {
            result.push_back(task);
            continue;
        }
        result.back().seconds += task.seconds;
        result.back().flops += task.flops;
        result.back().bytes += task.bytes;
    }
    return result;
}

/// Each block in its chunks of keys. A block that sees fewer keys than others, under a causal mask, has fewer of them.
std::vector<Task> split(const std::vector<Task>& tasks, std::int64_t chunks) {
    double most_flops = 0;
    for (const Task& task : tasks) most_flops = std::max(most_flops, task.flops);
    std::vector<Task> result;
    for (Task task : tasks) {
        const double seen = most_flops > 0 ? task.flops / most_flops : 1;
        const double parts = std::max(1.0, std::ceil(seen * static_cast<double>(chunks)));
        task.seconds /= parts;
        task.flops /= parts;
        task.bytes /= parts;
        result.insert(result.end(), static_cast<std::size_t>(parts), task);
    }
    return result;
}

std::vector<Task> attention_tasks(const OneThreadCosts& costs, const Loop& loop, const AttentionDivision& division,
                                  AttentionSchedule schedule) {
    if (schedule == AttentionSchedule::heads) return merged(loop.tasks);
    return schedule == AttentionSchedule::automatic && division.keys_split ? split(loop.tasks, costs.key_chunks) : loop.tasks;
}

std::vector<Task> product_tasks(const Loop& loop, int workers) {
    Task all;
    for (const Task& task : loop.tasks) {
        all.seconds += task.seconds;
        all.bytes += task.bytes;
    }
    const double parts = workers == 1 ? 1 : kProductTasksOfWorker * workers;
    all.seconds /= parts;
    all.bytes /= parts;
    return std::vector<Task>(static_cast<std::size_t>(parts), all);
}

double flops_of(const Loop& loop) {
    double flops = 0;
    for (const Task& task : loop.tasks) flops += task.flops;
    return flops;
}

double loop_seconds(const OneThreadCosts& costs, const Loop& loop, int available, AttentionSchedule schedule) {
    AttentionDivision division{.workers = bounded_workers(flops_of(loop) / kProductFlopsOfWorker, available)};
    if (loop.of_heads) division = costs.divide(available);
    const int workers = division.workers;
    const std::vector<Task> tasks = loop.of_heads ? attention_tasks(costs, loop, division, schedule) : product_tasks(loop, workers);
    std::vector<SimulatedTask> simulated;
    simulated.reserve(tasks.size());
    for (const Task& task : tasks) simulated.push_back({task.seconds, task.seconds > 0 ? task.bytes / task.seconds : 0});
    return simulate(simulated, workers, costs.bandwidth);
}

/// The most heads that a loop has.
int head_count(const OneThreadCosts& costs) {
    std::size_t most = 1;
    for (const Loop& loop : costs.loops) {
        std::set<std::pair<std::int64_t, std::int64_t>> heads;
        if (loop.of_heads)
            for (const Task& task : loop.tasks) heads.emplace(task.batch, task.head);
        most = std::max(most, heads.size());
    }
    return static_cast<int>(std::min<std::size_t>(most, kWorkers.back()));
}

}  // namespace

OneThreadCosts one_thread_costs(const Recording& recording, std::span<const double> seconds) {
    OneThreadCosts costs;
    costs.loops.resize(recording.loops.size());
    for (std::size_t i = 0; i < costs.loops.size(); ++i) costs.loops[i].of_heads = is_of_heads(recording.loops[i]);
    for (std::size_t i = 0; i < recording.tasks.size(); ++i) {
        const TaskRecord& task = recording.tasks[i];
        costs.loops[static_cast<std::size_t>(task.run)].tasks.push_back({.batch = task.batch,
                                                                         .head = task.head,
                                                                         .row_block = task.row_block,
                                                                         .seconds = seconds.empty() ? seconds_of(task) : seconds[i],
                                                                         .flops = task.flops,
                                                                         .bytes = task.bytes});
    }
    costs.serial_seconds = std::max(recording.seconds - busy_seconds(recording), 0.0);
    return costs;
}

double predicted_seconds(const OneThreadCosts& costs, int workers, AttentionSchedule schedule) {
    double seconds = costs.serial_seconds;
    for (const Loop& loop : costs.loops) seconds += loop_seconds(costs, loop, workers, schedule);
    return seconds;
}

double filled_share(const OneThreadCosts& costs, int workers, AttentionSchedule schedule) {
    double busy = 0, seconds = 0;
    for (const Loop& loop : costs.loops) {
        if (!loop.of_heads) continue;
        std::vector<SimulatedTask> tasks;
        for (const Task& task : attention_tasks(costs, loop, costs.divide(workers), schedule))
            tasks.push_back({.seconds = task.seconds});
        busy += simulate(tasks, 1);
        seconds += simulate(tasks, workers);
    }
    return seconds > 0 ? busy / seconds / workers : 1;
}

std::vector<WhatIf> what_if(const OneThreadCosts& costs, std::span<const int> more) {
    std::set<int> counts(kWorkers.begin(), kWorkers.end());
    counts.insert(more.begin(), more.end());
    counts.insert(head_count(costs));
    std::vector<AttentionSchedule> schedules{AttentionSchedule::automatic};
    const bool attention_alone = std::ranges::all_of(costs.loops, &Loop::of_heads);
    if (attention_alone)
        schedules.assign({AttentionSchedule::heads, AttentionSchedule::heads_queries, AttentionSchedule::automatic});

    std::vector<WhatIf> table;
    for (const AttentionSchedule schedule : schedules) {
        const double one = predicted_seconds(costs, 1, schedule);
        for (const int workers : counts) {
            const double seconds = predicted_seconds(costs, workers, schedule);
            table.push_back({workers, schedule, seconds, one / seconds / workers});
        }
    }
    return table;
}

}  // namespace headwise::tools
