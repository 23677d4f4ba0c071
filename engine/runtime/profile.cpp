#include "engine/runtime/profile.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/runtime/parallel.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

constexpr int kMostWorkers = 4096;

int checked_workers(int workers) {
    if (workers < 0 || workers > kMostWorkers)
        throw Error("capacity.workers is " + std::to_string(workers) + ": expected 1 to " + std::to_string(kMostWorkers) +
                    ", or 0 for those of the calling thread's task arena");
    return workers > 0 ? workers : std::min(runtime::available_workers(), kMostWorkers);
}

std::int64_t checked_count(const char* name, std::int64_t count) {
    if (count < 1) throw Error(std::string(name) + " is " + std::to_string(count) + ": expected at least 1");
    return count;
}

}  // namespace

// Arrays are made with their elements set, so that no page of them is touched for the first time while something is recorded.
Profile::Storage::Storage(int workers, std::int64_t tasks, std::int64_t most)
    : tasks_per_lane(tasks),
      most_runs(most),
      lanes(static_cast<std::size_t>(workers)),
      runs(std::make_unique<RunRecord[]>(static_cast<std::size_t>(most))) {
    for (Lane& lane : lanes) lane.tasks = std::make_unique<TaskRecord[]>(static_cast<std::size_t>(tasks));
}

Profile::Profile() : Profile(Capacity{}) {}

Profile::Profile(const Capacity& capacity)
    : storage_(std::make_unique<Storage>(checked_workers(capacity.workers),
                                         checked_count("capacity.tasks_per_worker", capacity.tasks_per_worker),
                                         checked_count("capacity.runs", capacity.runs))) {}

Profile::~Profile() = default;

void Profile::clear() noexcept {
    for (Storage::Lane& lane : storage_->lanes) lane.count = 0;
    storage_->run_count = 0;
    storage_->dropped = 0;
}

int Profile::workers() const noexcept {
    return static_cast<int>(storage_->lanes.size());
}

std::span<const RunRecord> Profile::runs() const noexcept {
    return {storage_->runs.get(), static_cast<std::size_t>(storage_->run_count)};
}

std::span<const TaskRecord> Profile::tasks(int worker) const noexcept {
    const Storage::Lane& lane = storage_->lanes[static_cast<std::size_t>(worker)];
    return {lane.tasks.get(), static_cast<std::size_t>(lane.count)};
}

std::int64_t Profile::dropped() const noexcept {
    return storage_->dropped;
}

ProfileScope::ProfileScope(Profile& profile) noexcept : outer_(std::exchange(runtime::current_profile, profile.storage())) {}

ProfileScope::~ProfileScope() {
    runtime::current_profile = outer_;
}

namespace runtime {

constinit thread_local Profile::Storage* current_profile = nullptr;

LoopRecorder::LoopRecorder(Profile::Storage& profile, const ItemDescription& items, int lanes, std::int64_t count) noexcept
    : profile_(profile), items_(items), run_{.operation = items.operation, .workers = lanes, .tasks = count} {
    profile.in_loop = true;
    run_.start_ns = now();
}

LoopRecorder::~LoopRecorder() {
    // What the lanes recorded before they added to this counter is there once it is read. oneTBB promises as much, out of
    // ThreadSanitizer's sight.
    profile_.dropped.load(std::memory_order_acquire);
    run_.end_ns = alone() ? end_of_last_ : now();
    if (profile_.run_count < profile_.most_runs)
        profile_.runs[static_cast<std::size_t>(profile_.run_count++)] = run_;
    else
        profile_.dropped.fetch_add(1, std::memory_order_relaxed);
    profile_.in_loop = false;
}

LaneRecorder::LaneRecorder(LoopRecorder& loop, int lane) noexcept : loop_(loop), index_(lane) {
    Profile::Storage& profile = loop.profile_;
    if (profile.run_count < profile.most_runs && lane < static_cast<int>(profile.lanes.size())) {
        lane_ = &profile.lanes[static_cast<std::size_t>(lane)];
        next_ = lane_->tasks.get() + lane_->count;
        end_of_room_ = lane_->tasks.get() + profile.tasks_per_lane;
    }
    start_ = loop.alone() ? loop.run_.start_ns : loop.now();
}

LaneRecorder::~LaneRecorder() {
    if (loop_.alone()) loop_.end_of_last_ = start_;
    if (lane_) {
        TaskRecord* task = lane_->tasks.get() + lane_->count;
        lane_->count += next_ - task;
        for (; task != next_; ++task) describe(*task);
    }
    loop_.profile_.dropped.fetch_add(dropped_, std::memory_order_release);
}

void LaneRecorder::describe(TaskRecord& task) const noexcept {
    const TaskLabel label = loop_.items_.describe(loop_.items_.context, task.batch);
    task = {.run = static_cast<std::int32_t>(loop_.profile_.run_count),
            .worker = index_,
            .batch = label.batch,
            .head = label.head,
            .heads = label.heads,
            .row_block = label.row_block,
            .column_block = label.column_block,
            .kernel = label.kernel,
            .start_ns = task.start_ns,
            .end_ns = task.end_ns,
            .flops = label.flops,
            .bytes = label.bytes};
}

}  // namespace runtime
}  // namespace headwise
