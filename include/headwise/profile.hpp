#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "headwise/export.hpp"

namespace headwise {

/// One task: a piece of work as one worker did it. A task of attention is a block of query rows of one key/value head, and with
/// split keys one range of these (AttentionSchedule); of a matrix product it is a rectangle of the result.
struct TaskRecord {
    std::int32_t run = 0;           ///< index into Profile::runs()
    std::int32_t worker = 0;        ///< lane in [0, workers of the run); no two tasks of a lane overlap
    std::int64_t batch = 0;         ///< the sequence; of rows of several, which share keys, that of the first
    std::int64_t head = 0;          ///< the first query head; 0 in a product
    std::int64_t heads = 1;         ///< so many query heads from there on, which share a key/value head
    std::int64_t row_block = 0;     ///< of the head's query rows, in their order, or of a product's rows; 0 for whole heads
    std::int64_t column_block = 0;  ///< range of the keys, where these are split, or block of a product's columns
    const char* kernel = "";        ///< "query-lanes", "key-rows", "weigh", "matmul", "blend", "rotate" or "clear"; a literal
    std::int64_t start_ns = 0;      ///< since the profile was made, on a clock that never jumps
    std::int64_t end_ns = 0;
    double flops = 0;  ///< as in AttentionExplanation: of the pairs that positions and lengths allow
    double bytes = 0;  ///< of what the task reads and writes, each operand once: of attention its rows of query and out, and the
                       ///< keys and values from the first to the last that these see
};

/// One parallel loop with something to do: of an attention call, of a product, of each step of a layer.
struct RunRecord {
    const char* operation = "";  ///< "attention", "attention, shared keys", "attention weights", "matmul", "merge states", "rope",
                                 ///< "clear padding"
    std::int32_t workers = 0;    ///< lanes that could draw tasks
    std::int64_t tasks = 0;      ///< that were there to be drawn
    std::int64_t start_ns = 0;   ///< before the first worker is woken
    std::int64_t end_ns = 0;     ///< after the last task, when the caller goes on
};

/// Records of what ran, in memory that is taken and touched beforehand: while it records nothing is allocated. When a buffer is
/// full, further records are counted and dropped. Reading it is for the thread that fills it, between calls, or for any thread once
/// no scope of it lives.
class Profile {
  public:
    struct Capacity {
        int workers = 0;                       ///< lanes; 0: as many as the calling thread's task arena has. At most 4096.
        std::int64_t tasks_per_worker = 8192;  ///< at least 1
        std::int64_t runs = 1024;              ///< at least 1
    };
    /// Throws Error where a capacity is out of range, std::bad_alloc where there is no memory for it: 88 bytes a task.
    HEADWISE_API Profile();
    HEADWISE_API explicit Profile(const Capacity& capacity);
    HEADWISE_API ~Profile();
    Profile(const Profile&) = delete;
    Profile& operator=(const Profile&) = delete;

    /// Forgets all records, and what was dropped. Not while a call is being recorded; times go on from the same beginning.
    HEADWISE_API void clear() noexcept;

    HEADWISE_API int workers() const noexcept;
    /// In the order of their starts.
    HEADWISE_API std::span<const RunRecord> runs() const noexcept;
    /// Of one lane in [0, workers()), in the order of their starts. One ends when the next of its run starts.
    HEADWISE_API std::span<const TaskRecord> tasks(int worker) const noexcept;
    /// Tasks and runs that were not recorded for want of room; tasks of lanes beyond workers() and of dropped runs among them.
    HEADWISE_API std::int64_t dropped() const noexcept;

    struct Storage;  ///< internal
    Storage* storage() const noexcept { return storage_.get(); }

  private:
    std::unique_ptr<Storage> storage_;
};

/// While it lives, whatever headwise runs for calls from this thread is recorded in the profile, on all threads that take part. The
/// innermost scope of a thread counts. Costs nothing where there is none, and one look at a clock a task where there is. What a
/// task calls in turn (a score function, say) is part of the task and not recorded. Make it on the thread that makes the calls:
/// within task_arena::execute(), not around it. One profile is used by one calling thread at a time.
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
