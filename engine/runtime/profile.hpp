#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "headwise/profile.hpp"

namespace headwise {

/// Where records lie, in memory that the constructor has written to.
struct Profile::Storage {
    /// Its worker alone writes to it while a loop runs: lanes do not share cache lines.
    struct alignas(64) Lane {
        std::unique_ptr<TaskRecord[]> tasks;
        std::int64_t count = 0;
    };

    Storage(int workers, std::int64_t tasks_per_lane, std::int64_t most_runs);

    const std::chrono::steady_clock::time_point made = std::chrono::steady_clock::now();
    const std::int64_t tasks_per_lane, most_runs;
    std::vector<Lane> lanes;
    const std::unique_ptr<RunRecord[]> runs;
    std::int64_t run_count = 0;
    bool in_loop = false;  ///< one is being recorded: loops within its tasks are part of these
    std::atomic<std::int64_t> dropped = 0;
};

}  // namespace headwise

namespace headwise::runtime {

/// What an item of a loop is, in the terms of TaskRecord.
struct TaskLabel {
    std::int64_t batch = 0, head = 0, heads = 1, row_block = 0, column_block = 0;
    const char* kernel = "";
    double flops = 0, bytes = 0;
};

/// What the items of a loop are. `describe` is called for recorded items alone, by the worker that ran them, once it has none left
/// to run: so the clock is read but once a task.
struct ItemDescription {
    const char* operation = nullptr;  ///< a literal; null: the loop is not recorded
    TaskLabel (*describe)(const void* context, std::int64_t item) = nullptr;
    const void* context = nullptr;
};

/// Where loops of the calling thread are recorded, or null. Their workers learn it from the loop.
extern constinit thread_local Profile::Storage* current_profile;

/// Records one loop, from construction to destruction, on the calling thread. Without room for its run all of its tasks are
/// dropped.
class LoopRecorder {
  public:
    LoopRecorder(Profile::Storage& profile, const ItemDescription& items, int lanes, std::int64_t count) noexcept;
    ~LoopRecorder();
    LoopRecorder(const LoopRecorder&) = delete;
    LoopRecorder& operator=(const LoopRecorder&) = delete;

  private:
    friend class LaneRecorder;
    std::int64_t now() const noexcept;
    bool alone() const noexcept { return run_.workers == 1; }

    Profile::Storage& profile_;
    const ItemDescription& items_;
    RunRecord run_;
    std::int64_t end_of_last_ = 0;  ///< where there is but one lane
};

/// Records the tasks of one lane of a loop, from construction to destruction, on the thread that runs them.
class LaneRecorder {
  public:
    LaneRecorder(LoopRecorder& loop, int lane) noexcept;
    ~LaneRecorder();
    LaneRecorder(const LaneRecorder&) = delete;
    LaneRecorder& operator=(const LaneRecorder&) = delete;

    /// The item that began where the one before ended is done.
    void record(std::int64_t item) noexcept {
        const std::int64_t end = loop_.now();
        if (next_ != end_of_room_) {
            next_->batch = item;  // until the destructor describes it
            next_->start_ns = start_;
            next_->end_ns = end;
            ++next_;
        } else {
            ++dropped_;
        }
        start_ = end;
    }

  private:
    void describe(TaskRecord& task) const noexcept;

    LoopRecorder& loop_;
    const int index_;
    Profile::Storage::Lane* lane_ = nullptr;  ///< null: there is no room
    TaskRecord* next_ = nullptr;
    TaskRecord* end_of_room_ = nullptr;
    std::int64_t start_, dropped_ = 0;
};

inline std::int64_t LoopRecorder::now() const noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - profile_.made).count();
}

}  // namespace headwise::runtime
