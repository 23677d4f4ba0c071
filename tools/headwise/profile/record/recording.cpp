#include "profile/record/recording.hpp"

#include <algorithm>
#include <iterator>

#include "text/key_values.hpp"

namespace headwise::tools {
namespace {

constexpr Names<AttentionSchedule, 3> kSchedules{{{"auto", AttentionSchedule::automatic},
                                                  {"heads", AttentionSchedule::heads},
                                                  {"heads-queries", AttentionSchedule::heads_queries}}};

}  // namespace

AttentionSchedule schedule_from_name(std::string_view name) {
    return from_name(kSchedules, "schedule", name);
}
std::string_view schedule_name(AttentionSchedule schedule) {
    return to_name(kSchedules, schedule);
}

double busy_seconds(const Recording& recording) {
    double sum = 0;
    for (const TaskRecord& task : recording.tasks) sum += seconds_of(task);
    return sum;
}

double serial_seconds(const Recording& recording) {
    double loops = 0;
    for (const RunRecord& loop : recording.loops) loops += seconds_of(loop);
    return std::max(recording.seconds - loops, 0.0);
}

bool is_of_heads(const RunRecord& loop) {
    return std::string_view(loop.operation).starts_with("attention");
}

std::vector<TaskRecord> head_tasks(const Recording& recording) {
    if (!std::ranges::any_of(recording.loops, is_of_heads)) return recording.tasks;
    std::vector<TaskRecord> tasks;
    std::ranges::copy_if(recording.tasks, std::back_inserter(tasks),
                         [&](const TaskRecord& task) { return is_of_heads(recording.loops[static_cast<std::size_t>(task.run)]); });
    return tasks;
}

}  // namespace headwise::tools
