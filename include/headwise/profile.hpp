#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "headwise/export.hpp"

namespace headwise {

/// One task: a piece of work that one worker did. A task of attention is a block of query rows of one key/value head, or one key
/// range of a block if keys are split (AttentionSchedule). A task of a matrix product is a rectangle of the result.
struct TaskRecord {
    std::int32_t run = 0;           ///< index into Profile::runs()
    std::int32_t worker = 0;        ///< lane in [0, workers of the run); no two tasks of a lane overlap
    std::int64_t batch = 0;         ///< the sequence; for rows of several, which share a common prefix, the first
    std::int64_t head = 0;          ///< the first query head; 0 in a product
    std::int64_t heads = 1;         ///< number of query heads, from `head` on, that share a key/value head
    std::int64_t row_block = 0;     ///< of the head's query rows in order, or of a product's rows; 0 for whole heads
    std::int64_t column_block = 0;  ///< key range, if keys are split, or block of a product's columns
    const char* kernel = "";        ///< "query-lanes", "key-rows", "weigh", "matmul", "blend", "rotate" or "clear"; a literal
    std::int64_t start_ns = 0;      ///< since the profile was made, on a clock that never jumps
    std::int64_t end_ns = 0;
    double flops = 0;  ///< as in AttentionExplanation: for the pairs that positions and lengths allow
    double bytes = 0;  ///< bytes the task reads and writes, each operand once; for attention: its rows of query and out, and the
                       ///< keys and values from the first to the last that these rows see
};

/// One parallel loop with at least one task: of an attention call, of a product, of a step of a layer.
struct RunRecord {
    const char* operation = "";  ///< "attention", "attention, shared keys", "attention weights", "matmul", "merge states", "rope",
                                 ///< "clear padding"
    std::int32_t workers = 0;    ///< lanes that could draw tasks
    std::int64_t tasks = 0;      ///< number of tasks to draw
    std::int64_t start_ns = 0;   ///< before the first worker is woken
    std::int64_t end_ns = 0;     ///< after the last task, when the caller continues
};

/// Records of what ran. The constructor allocates and touches all memory, so that recording allocates nothing. When a buffer is
/// full, further records are dropped and counted. Only the thread that fills a profile may read it, between calls; once no scope of
/// it lives, any thread may.
class Profile {
  public:
    struct Capacity {
        int workers = 0;                       ///< lanes; 0: as many as the calling thread's task arena allows. At most 4096.
        std::int64_t tasks_per_worker = 8192;  ///< at least 1
        std::int64_t runs = 1024;              ///< at least 1
    };
    /// Throws Error if a capacity is out of range, std::bad_alloc if there is not enough memory: 88 bytes per task.
    HEADWISE_API Profile();
    HEADWISE_API explicit Profile(const Capacity& capacity);
    HEADWISE_API ~Profile();
    Profile(const Profile&) = delete;
    Profile& operator=(const Profile&) = delete;

    /// Discards all records and the dropped count. Not while a call is being recorded. Times keep the same origin.
    HEADWISE_API void clear() noexcept;

    HEADWISE_API int workers() const noexcept;
    /// In order of start.
    HEADWISE_API std::span<const RunRecord> runs() const noexcept;
    /// The tasks of one lane in [0, workers()), in order of start. A task ends when the next one of its run starts on that lane.
    HEADWISE_API std::span<const TaskRecord> tasks(int worker) const noexcept;
    /// Tasks and runs that did not fit, including tasks of lanes beyond workers() and of dropped runs.
    HEADWISE_API std::int64_t dropped() const noexcept;

    struct Storage;  ///< internal
    Storage* storage() const noexcept { return storage_.get(); }

  private:
    std::unique_ptr<Storage> storage_;
};

/// While it lives, the profile records everything that headwise runs for calls from this thread, on all threads that take part.
/// With nested scopes the innermost one records. Without a scope, recording costs nothing; with one, a clock read per task. What a
/// task calls (a score function, say) is part of the task and has no record of its own. Make the scope on the thread that makes the
/// calls: within task_arena::execute(), not around it. Only one calling thread at a time may use a profile.
class ProfileScope {
  public:
    HEADWISE_API explicit ProfileScope(Profile& profile) noexcept;
    HEADWISE_API ~ProfileScope();
    ProfileScope(const ProfileScope&) = delete;
    ProfileScope& operator=(const ProfileScope&) = delete;

  private:
    Profile::Storage* outer_;
};

}  // namespace headwise
