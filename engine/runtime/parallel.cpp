#include "engine/runtime/parallel.hpp"

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/info.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/partitioner.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include <algorithm>
#include <atomic>
#include <cmath>

#include "engine/runtime/itt.hpp"
#include "engine/runtime/keep_loaded.hpp"
#include "engine/runtime/process_end.hpp"
#include "engine/runtime/thread_sanitizer.hpp"
#include "headwise/cpu.hpp"

namespace headwise::runtime {
namespace {

// Workers draw one item ahead while more than this many for each of them are left.
constexpr std::int64_t kReserveUntil = 4;

// Work that is worth waking one more worker for.
constexpr double kMinMicrosecondsPerWorker = 20;

// What a call within somebody else's tasks needs:
// - A context of its own: when the caller's group is cancelled, or a sibling of the caller throws, the loop still runs to its end.
// - The caller's floating-point modes (rounding, denormals, traps) on every worker, or bits would depend on who runs an item.
// - Isolation: a thread that waits for the last lanes takes no other task. Another task of the caller would start within this
//   call, on top of the workspace or the lock that its thread holds.
// Cost: too small to measure. -3 ns (quartiles -205 and 121) on a plain loop of two lanes that takes 1.3 us, timed in turn on a
// Zen 4 with oneTBB 2021.8.
template <class Function>
void in_callers_environment(const Function& function) {
    tbb::task_group_context context(tbb::task_group_context::isolated,
                                    tbb::task_group_context::default_traits | tbb::task_group_context::fp_settings);
    tbb::this_task_arena::isolate([&] { function(context); });
}

/// What the lanes of one loop share. start_lane(lane) gives what a lane calls with each (item, upcoming) and destroys in the end.
template <class StartLane>
class Lanes {
  public:
    Lanes(int lanes, std::int64_t items, const StartLane& start_lane) : lanes_(lanes), items_(items), start_lane_(start_lane) {}

    /// Draws items until none is left. That a lane sees all that was written before the loop, and the caller in the end all that
    /// the lanes wrote, is oneTBB's promise. The counter orders nothing: items of one loop must not need each other's results.
    void run(int lane) {
        std::int64_t item = draw();
        if (item >= items_) return;
        auto run_item = start_lane_(lane);
        while (item < items_) {
            // Towards the end nobody holds an item in reserve: another worker may be free for it sooner.
            const std::int64_t upcoming = item + kReserveUntil * lanes_ < items_ ? draw() : kUnknownItem;
            // The others may have drawn the rest meanwhile.
            run_item(item, upcoming < items_ ? upcoming : kUnknownItem);
            item = upcoming == kUnknownItem ? draw() : upcoming;
        }
    }

    const char before = 0, after = 0;  ///< addresses for ThreadSanitizer: the loop begins, a lane ends

  private:
    std::int64_t draw() { return next_.fetch_add(1, std::memory_order_relaxed); }

    const int lanes_;
    const std::int64_t items_;
    const StartLane& start_lane_;
    std::atomic<std::int64_t> next_ = 0;
};

/// The lanes as a body of oneTBB's, which copies it from thread to thread: until the order is there, ThreadSanitizer must not look.
template <class Lanes>
struct LaneTask {
    Lanes* lanes;
    HEADWISE_UNWATCHED void operator()(const tbb::blocked_range<int>& range) const {
        acquire_order(&lanes->before);
        for (int lane = range.begin(); lane != range.end(); ++lane) lanes->run(lane);
        release_order(&lanes->after);
    }
};

// One oneTBB task per worker, each drawing items until none is left, rather than one per item: scratch memory belongs to a worker
// and not to a thread, so its amount is known beforehand and nested or foreign arenas do no harm; the order of the items is kept
// (costliest first is then list scheduling); and a run makes a handful of tasks whatever its size. A task that starts late finds
// the counter run out.
template <class StartLane>
void run_lanes(int count, std::int64_t items, const StartLane& start_lane) {
    const auto run_alone = [&] {
        auto run = start_lane(0);
        for (std::int64_t item = 0; item < items; ++item) run(item, item + 1 < items ? item + 1 : kUnknownItem);
    };
    if (count <= 1) return run_alone();
    const WorkerUse use;
    if (!use.allowed()) return run_alone();
    keep_loaded();
    Lanes<StartLane> lanes(count, items, start_lane);
    release_order(&lanes.before);
    in_callers_environment([&](tbb::task_group_context& context) {
        tbb::parallel_for(tbb::blocked_range<int>(0, count, 1), LaneTask<Lanes<StartLane>>{&lanes}, tbb::simple_partitioner{},
                          context);
    });
    acquire_order(&lanes.after);
}

using Body = void (*)(void*, int, std::int64_t, std::int64_t);

/// A lane of a recorded loop.
class RecordedLane {
  public:
    RecordedLane(LoopRecorder& loop, int lane, Body body, void* context) noexcept
        : body_(body), context_(context), lane_(lane), recorder_(loop, lane) {}

    void operator()(std::int64_t item, std::int64_t upcoming) {
        body_(context_, lane_, item, upcoming);
        recorder_.record(item);
    }

  private:
    const Body body_;
    void* const context_;
    const int lane_;
    LaneRecorder recorder_;
};

void run_plain(int lanes, std::int64_t items, Body body, void* context) {
    run_lanes(lanes, items,
              [=](int lane) { return [=](std::int64_t item, std::int64_t upcoming) { body(context, lane, item, upcoming); }; });
}

void run_recorded(int lanes, std::int64_t items, Body body, void* context, const ItemDescription& description) {
    if (!current_profile || current_profile->in_loop) return run_plain(lanes, items, body, context);
    LoopRecorder recorder(*current_profile, description, lanes, items);
    run_lanes(lanes, items, [&](int lane) { return RecordedLane(recorder, lane, body, context); });
}

/// A loop's body as a collector sees it.
struct CollectedBody {
    const IttTasks& tasks;
    Body body;
    void* context;

    static void run(void* self, int lane, std::int64_t item, std::int64_t upcoming) {
        const CollectedBody& inner = *static_cast<const CollectedBody*>(self);
        inner.tasks.begin();
        inner.body(inner.context, lane, item, upcoming);
        inner.tasks.end();
    }
};

// A function of its own, so that the usual path need not make room for what records take.
[[gnu::noinline]] void run_watched(int lanes, std::int64_t items, Body body, void* context, const ItemDescription& description) {
    if (!itt_collects()) return run_recorded(lanes, items, body, context, description);
    const IttTasks tasks(description.operation);
    CollectedBody collected{tasks, body, context};
    run_recorded(lanes, items, CollectedBody::run, &collected, description);
}

}  // namespace

int available_workers() {
    if (!may_use_workers()) return 1;
    return available_workers(tbb::this_task_arena::max_concurrency(), tbb::info::default_concurrency(), cpu_info().cpu_quota);
}

int available_workers(int arena_size, int default_size, double cpu_quota) noexcept {
    if (arena_size != default_size || !(cpu_quota > 0)) return arena_size;
    return static_cast<int>(std::clamp(std::ceil(cpu_quota), 1.0, static_cast<double>(arena_size)));
}

int workers_for(double microseconds) {
    return static_cast<int>(std::clamp(microseconds / kMinMicrosecondsPerWorker, 1.0, static_cast<double>(available_workers())));
}

void for_each_item(int workers, std::int64_t items, void (*body)(void*, int, std::int64_t, std::int64_t), void* context,
                   const ItemDescription& description) {
    if (items <= 0) return;
    const int lanes = static_cast<int>(std::clamp<std::int64_t>(workers, 1, items));
    if (description.operation && (current_profile || itt_collects()))
        run_watched(lanes, items, body, context, description);
    else
        run_plain(lanes, items, body, context);
}

}  // namespace headwise::runtime
