#include "profile/analyze/workers.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace headwise::tools {
namespace {

/// First and last moment of a worker in a loop.
struct TaskSpan {
    std::int64_t tasks = 0, first_ns = 0, last_ns = 0;
};

/// Of each worker in each loop: [loop * threads + worker].
std::vector<TaskSpan> spans_of(const Recording& recording) {
    const auto threads = static_cast<std::size_t>(recording.threads);
    std::vector<TaskSpan> spans(recording.loops.size() * threads);
    for (const TaskRecord& task : recording.tasks) {
        TaskSpan& span = spans[static_cast<std::size_t>(task.run) * threads + static_cast<std::size_t>(task.worker)];
        if (span.tasks++ == 0) span.first_ns = task.start_ns;
        span.last_ns = std::max(span.last_ns, task.end_ns);
    }
    return spans;
}

void add_waiting(WorkerShare& share, const RunRecord& loop, const TaskSpan& span) {
    if (span.tasks == 0) {
        share.wake_up += seconds_of(loop);
        return;
    }
    share.wake_up += 1e-9 * static_cast<double>(span.first_ns - loop.start_ns);
    share.tail += 1e-9 * static_cast<double>(loop.end_ns - span.last_ns);
}

std::int64_t heads_of_worker(const std::vector<TaskRecord>& tasks, int worker) {
    std::set<std::pair<std::int64_t, std::int64_t>> heads;
    for (const TaskRecord& task : tasks)
        if (task.worker == worker) heads.emplace(task.batch, task.head);
    return static_cast<std::int64_t>(heads.size());
}

}  // namespace

std::vector<WorkerShare> worker_shares(const Recording& recording) {
    const auto threads = static_cast<std::size_t>(recording.threads);
    const std::vector<TaskRecord> of_heads = head_tasks(recording);
    const std::vector<TaskSpan> spans = spans_of(recording);
    std::vector<WorkerShare> shares(threads);
    for (const TaskRecord& task : recording.tasks) {
        WorkerShare& share = shares[static_cast<std::size_t>(task.worker)];
        share.busy += seconds_of(task);
        ++share.tasks;
    }
    for (std::size_t worker = 0; worker < threads; ++worker) {
        WorkerShare& share = shares[worker];
        share.worker = static_cast<int>(worker);
        share.idle = std::max(recording.seconds - share.busy, 0.0);
        share.heads = heads_of_worker(of_heads, share.worker);
        for (std::size_t loop = 0; loop < recording.loops.size(); ++loop)
            if (share.worker < recording.loops[loop].workers)
                add_waiting(share, recording.loops[loop], spans[loop * threads + worker]);
    }
    return shares;
}

}  // namespace headwise::tools
