#include "profile/analyze/diagnosis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "measure/statistics.hpp"
#include "profile/analyze/expected_times.hpp"

namespace headwise::tools {
namespace {

constexpr double kMatters = 0.05;        // of worker time: smaller losses are not reported
constexpr double kUnevenHeads = 1.5;     // times the median head's time
constexpr double kMoreWork = 1.25;       // times the FLOPs: a head that takes longer for other reasons has no more keys
constexpr double kSlowWorker = 1.25;     // times as long for the same work: floating clocks make 1.1
constexpr double kInterrupted = 2;       // times as long as usual; told where it matters in all
constexpr int kTasksToJudge = 3;         // of a worker, before its speed is judged
constexpr double kLongestWakeUp = 2e-4;  // seconds: a sleeping thread takes some 50 us
constexpr double kNearTheRoof = 0.7;     // of the read bandwidth

/// A sentence, and the share of worker time that it attributes to other programs.
struct Statement {
    Statement(std::string text_, double disturbance_ = 0) : text(std::move(text_)), disturbance(disturbance_) {}

    std::string text;
    double disturbance;
};
using Finding = std::optional<Statement>;

/// 100 % is said of nothing that falls short of it.
std::string percent(double share) {
    const double value = 100 * share;
    return fmt::format("{:.{}f} %", value, (value >= 99 && value < 99.95) || value < 9.95 ? 1 : 0);
}

std::string count_of(std::size_t count, const char* name) {
    return fmt::format("{} {}{}", count, name, count == 1 ? "" : "s");
}

/// "head 2 of batch 1", "heads 8 to 11": query heads.
std::string name_of(const HeadShare& head) {
    const std::string heads =
        head.heads == 1 ? fmt::format("head {}", head.head) : fmt::format("heads {} to {}", head.head, head.head + head.heads - 1);
    return fmt::format("{} of batch {}", heads, head.batch);
}

/// Blocks of the head that has most of them.
std::size_t row_blocks(const OneThreadCosts& costs) {
    std::size_t most = 1;
    for (const OneThreadCosts::Loop& loop : costs.loops) {
        if (!loop.of_heads) continue;
        std::map<std::pair<std::int64_t, std::int64_t>, std::set<std::int64_t>> blocks;
        for (const auto& task : loop.tasks) {
            auto& of_head = blocks[{task.batch, task.head}];
            of_head.insert(task.row_block);
            most = std::max(most, of_head.size());
        }
    }
    return most;
}

/// What heads alone can reach, and what finer tasks add.
Finding granularity(const ProfiledRun& run, const OneThreadCosts& costs) {
    const int workers = run.recording.threads;
    if (workers == 1 || !std::ranges::any_of(costs.loops, &OneThreadCosts::Loop::of_heads)) return {};
    const double alone = filled_share(costs, workers, AttentionSchedule::heads);
    const double blocks = filled_share(costs, workers, AttentionSchedule::heads_queries);
    const double parts = filled_share(costs, workers, AttentionSchedule::automatic);
    const double best = std::max(blocks, parts);
    if (alone > 1 - kMatters || best < alone + kMatters / 2) return {};
    const bool grouped = run.heads.front().heads > 1;
    std::string text = fmt::format("{} on {} workers: heads alone can reach at most {}; ",
                                   count_of(run.heads.size(), grouped ? "key/value head" : "head"), workers, percent(alone));
    if (blocks >= alone + kMatters / 2)
        text += fmt::format("heads x {} reach {}", count_of(row_blocks(costs), "query block"), percent(blocks));
    if (parts >= std::max(alone, blocks) + kMatters / 2)
        text += fmt::format("{}with each block's keys in {} parts {}", blocks >= alone + kMatters / 2 ? ", " : "", costs.key_chunks,
                            percent(parts));
    return text;
}

/// One head with more work than the others, where that leaves workers without any.
Finding uneven_heads(const ProfiledRun& run, const Losses& lost) {
    if (run.heads.size() < 2 || lost.tail < kMatters) return {};
    const HeadShare& longest = *std::ranges::max_element(run.heads, {}, &HeadShare::seconds);
    std::vector<double> flops;
    for (const HeadShare& head : run.heads) flops.push_back(head.flops);
    const double median = quartiles(flops).median;
    if (longest.ratio_to_median < kUnevenHeads || longest.flops < kMoreWork * median) return {};
    return fmt::format("{} takes {:.1f}x the median head's time: it has {:.1f}x the work (more keys or queries), and is {} of all",
                       name_of(longest), longest.ratio_to_median, longest.flops / median, percent(longest.share));
}

/// How many times as long as expected the tasks of each worker with enough of them take: the median of these.
std::map<int, double> slowness_of_workers(const Recording& recording, const ExpectedTimes& expected) {
    std::map<int, std::vector<double>> samples;
    for (const TaskRecord& task : recording.tasks)
        if (const auto seconds = expected.of(task)) samples[task.worker].push_back(seconds_of(task) / *seconds);
    std::map<int, double> slowness;
    for (const auto& [worker, sample] : samples)
        if (std::ssize(sample) >= kTasksToJudge) slowness[worker] = quartiles(sample).median;
    return slowness;
}

/// A worker whose tasks take longer than the same work does on the fastest one.
Finding slow_worker(const ProfiledRun& run, const ExpectedTimes& expected) {
    const std::map<int, double> slowness = slowness_of_workers(run.recording, expected);
    if (slowness.size() < 2) return {};
    const auto [fast, slow] =
        std::ranges::minmax_element(slowness, [](const auto& a, const auto& b) { return a.second < b.second; });
    const double ratio = slow->second / fast->second;
    if (ratio < kSlowWorker) return {};
    const double busy = std::ranges::find(run.workers, slow->first, &WorkerShare::worker)->busy;
    return Statement(
        fmt::format("worker {} needs {:.1f}x as long for the same work as worker {}: another program shares its core, or it is a "
                    "slower one",
                    slow->first, ratio, fast->first),
        busy * (1 - 1 / ratio) / run.recording.seconds / run.recording.threads);
}

/// How many times as long as expected the median task takes.
double median_slowness(const Recording& recording, const ExpectedTimes& expected) {
    std::vector<double> sample;
    for (const TaskRecord& task : recording.tasks)
        if (const auto seconds = expected.of(task)) sample.push_back(seconds_of(task) / *seconds);
    return quartiles(sample).median;
}

/// Single tasks that take a multiple of what the same work does otherwise.
Finding interrupted_tasks(const ProfiledRun& run, const ExpectedTimes& expected) {
    const double slowness = median_slowness(run.recording, expected);
    double worst = 0, lost = 0;
    std::size_t count = 0;
    for (const TaskRecord& task : run.recording.tasks) {
        const double usual = expected.of(task).value_or(0) * slowness;
        if (usual <= 0 || seconds_of(task) < kInterrupted * usual) continue;
        ++count;
        worst = std::max(worst, seconds_of(task) / usual);
        lost += seconds_of(task) - usual;
    }
    const double share = lost / run.recording.seconds / run.recording.threads;
    if (share < kMatters) return {};
    const std::string tasks = count == 1 ? "1 task takes" : fmt::format("{} tasks take up to", count);
    return Statement(
        fmt::format("interrupted: {} {:.1f}x as long as usual, {} of worker time: another program ran on the core meanwhile", tasks,
                    worst, percent(share)),
        share);
}

Finding late_workers(const ProfiledRun& run, const Losses& lost) {
    if (lost.wake_up < kMatters) return {};
    const WorkerShare& latest = *std::ranges::max_element(run.workers, {}, &WorkerShare::wake_up);
    const double of_loop = latest.wake_up / static_cast<double>(run.recording.loops.size());
    const bool held = of_loop > kLongestWakeUp;
    return Statement(
        fmt::format("waking up takes {} of worker time: worker {} waits {:.1f} us for its first task in a call of {:.1f} us{}",
                    percent(lost.wake_up), latest.worker, 1e6 * latest.wake_up, 1e6 * run.recording.seconds,
                    held ? "; such a long wait means another program has its core" : ""),
        held ? lost.wake_up : 0);
}

Finding long_tail(const ProfiledRun& run, const Losses& lost) {
    if (lost.tail < kMatters) return {};
    const WorkerShare& first = *std::ranges::max_element(run.workers, {}, &WorkerShare::tail);
    const TaskRecord& last = *std::ranges::max_element(run.recording.tasks, {}, &TaskRecord::end_ns);
    return fmt::format(
        "tail: {} of worker time is after each worker's last task: worker {} is idle for {:.1f} us, worker {} finishes last",
        percent(lost.tail), first.worker, 1e6 * first.tail, last.worker);
}

Finding serial_part(const ProfiledRun& run, const Losses& lost) {
    if (run.recording.threads == 1 || lost.serial < kMatters) return {};
    return fmt::format("{} of the call is outside parallel loops: {:.1f} us", percent(lost.serial),
                       1e6 * serial_seconds(run.recording));
}

Finding unused_threads(const ProfiledRun& run, const Losses& lost) {
    if (lost.unused < kMatters) return {};
    int least = run.recording.threads;
    for (const RunRecord& loop : run.recording.loops) least = std::min(least, loop.workers);
    return fmt::format("too little work for {} threads: {} used, because waking another costs more than it saves ({} unused)",
                       run.recording.threads, least, percent(lost.unused));
}

/// Tasks that take longer beside others than alone, and what the counters say about it.
Finding slower_tasks(const ProfiledRun& run, const Losses& lost) {
    if (run.recording.threads == 1 || lost.slower < kMatters) return {};
    const Metrics& m = run.metrics;
    std::string why = "the threads share clock, caches or memory, or other programs run at the same time";
    if (run.roofline.by_bandwidth) why = "they share the bandwidth of memory or of a cache";
    if (m.ipc_scaling && m.frequency_scaling)
        why = fmt::format("instructions a cycle are {:.2f}x, the clock is {:.2f}x that of one thread", *m.ipc_scaling,
                          *m.frequency_scaling);
    return fmt::format("the same tasks take {:.2f}x as long on {} threads as on one: {}", 1 / m.computation_scaling,
                       run.recording.threads, why);
}

Finding at_the_bandwidth(const ProfiledRun& run) {
    const Roofline& roof = run.roofline;
    if (!roof.by_bandwidth || roof.read_rate() < kNearTheRoof * roof.read_gb_per_s) return {};
    return fmt::format(
        "bound by bandwidth: reads {:.1f} of {:.1f} GB/s at {:.2g} FLOPs a byte; more workers help only if memory "
        "bandwidth grows with them",
        roof.read_rate(), roof.read_gb_per_s, roof.intensity);
}

/// What is to be looked at first.
Finding largest_loss(const ProfiledRun& run, const Losses& lost) {
    if (run.recording.threads == 1) return {};
    const std::array<std::pair<double, const char*>, 6> all{{{lost.wake_up, "waking up"},
                                                             {lost.tail, "the tail (workers without tasks at the end)"},
                                                             {lost.drawing, "drawing tasks"},
                                                             {lost.serial, "work outside parallel loops"},
                                                             {lost.unused, "threads without work"},
                                                             {lost.slower, "tasks that are slower than on one thread"}}};
    const auto& [most, name] = *std::ranges::max_element(all);
    if (most < kMatters)
        return fmt::format("balanced: no loss reaches {:.0f} %; the largest is {}, {}", 100 * kMatters, name,
                           percent(std::max(most, 0.0)));
    return fmt::format("the largest loss is {}: {} of worker time", name, percent(most));
}

}  // namespace

Losses losses(const ProfiledRun& run, const Recording& one_thread) {
    const Recording& recording = run.recording;
    const double all = recording.seconds * recording.threads, busy = busy_seconds(recording);
    double used = 0, loops = 0;
    for (const RunRecord& loop : recording.loops) {
        used += seconds_of(loop) * loop.workers;
        loops += seconds_of(loop);
    }
    Losses lost;
    for (const WorkerShare& worker : run.workers) {
        lost.wake_up += worker.wake_up / all;
        lost.tail += worker.tail / all;
    }
    lost.drawing = (used - busy) / all - lost.wake_up - lost.tail;
    lost.serial = serial_seconds(recording) / recording.seconds;
    lost.unused = (loops * recording.threads - used) / all;
    lost.slower = (busy - busy_seconds(one_thread)) / all;
    return lost;
}

Diagnosis diagnosis(const ProfiledRun& run, const Recording& one_thread, const OneThreadCosts& costs) {
    const Losses lost = losses(run, one_thread);
    const ExpectedTimes expected(costs);
    Diagnosis result;
    for (const Finding& finding :
         {granularity(run, costs), uneven_heads(run, lost), slow_worker(run, expected), interrupted_tasks(run, expected),
          late_workers(run, lost), long_tail(run, lost), serial_part(run, lost), unused_threads(run, lost), slower_tasks(run, lost),
          at_the_bandwidth(run), largest_loss(run, lost)})
        if (finding) {
            result.lines.push_back(finding->text);
            result.disturbance = std::max(result.disturbance, finding->disturbance);
        }
    return result;
}

}  // namespace headwise::tools
