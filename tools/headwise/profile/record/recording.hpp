#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "headwise/attention.hpp"
#include "headwise/profile.hpp"
#include "profile/record/counters.hpp"

namespace headwise::tools {

AttentionSchedule schedule_from_name(std::string_view name);  ///< throws UsageError
std::string_view schedule_name(AttentionSchedule schedule);   ///< "auto", "heads" or "heads-queries"

/// One repetition of a call.
struct Recording {
    int threads = 1;
    double seconds = 0;  ///< of the whole call
    std::int64_t dropped = 0;
    std::vector<RunRecord> loops;   ///< nanoseconds since the start of the first of them
    std::vector<TaskRecord> tasks;  ///< likewise; loop by loop, in each in the order of their starts
    std::optional<CounterValues> counters{};
};

inline double seconds_of(const TaskRecord& task) {
    return 1e-9 * static_cast<double>(task.end_ns - task.start_ns);
}
inline double seconds_of(const RunRecord& loop) {
    return 1e-9 * static_cast<double>(loop.end_ns - loop.start_ns);
}

/// Of all workers, in tasks.
double busy_seconds(const Recording& recording);

/// Of the call, outside of its parallel loops.
double serial_seconds(const Recording& recording);

/// Whether the loop's tasks are of heads: those of attention are, those of a product are not.
bool is_of_heads(const RunRecord& loop);

/// The tasks that belong to heads; in a product, which has none, all.
std::vector<TaskRecord> head_tasks(const Recording& recording);

}  // namespace headwise::tools
