#include "profile/write/trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

#include "profile/write/document.hpp"
#include "text/json_text.hpp"

namespace headwise::tools {
namespace {

/// Whole nanoseconds: a slice that ends where the next one starts does so exactly.
std::int64_t nanoseconds(const ProfileJson& microseconds) {
    return std::llround(microseconds.get<double>() * 1e3);
}

double microseconds(std::int64_t nanoseconds) {
    return static_cast<double>(nanoseconds) / 1e3;
}

/// Numbers for processes and threads, all different: viewers take a thread with the number of its process for the main thread.
class Numbers {
  public:
    int next() { return ++last_; }

  private:
    int last_ = 0;
};

ProfileJson metadata(const char* name, int process, int thread, ProfileJson arguments) {
    return {{"ph", "M"}, {"name", name}, {"pid", process}, {"tid", thread}, {"args", std::move(arguments)}};
}

/// "X": a slice that knows its end. `span` has start_us and end_us.
ProfileJson slice(const std::string& name, const std::string& category, int process, int thread, const ProfileJson& span,
                  ProfileJson arguments) {
    const std::int64_t start = nanoseconds(span.at("start_us"));
    return {{"ph", "X"},
            {"name", name},
            {"cat", category},
            {"pid", process},
            {"tid", thread},
            {"ts", microseconds(start)},
            {"dur", microseconds(std::max<std::int64_t>(0, nanoseconds(span.at("end_us")) - start))},
            {"args", std::move(arguments)}};
}

ProfileJson task_slice(const ProfileJson& task, int process, int thread) {
    ProfileJson arguments;
    for (const char* name : {"batch", "head", "heads", "row_block", "column_block", "kernel", "flops", "bytes"})
        arguments[name] = task.at(name);
    const double duration = task.at("end_us").get<double>() - task.at("start_us").get<double>();
    if (duration > 0) arguments["gflops"] = task.at("flops").get<double>() / duration / 1e3;
    return slice(head_name(task), task.at("kernel").get<std::string>(), process, thread, task, std::move(arguments));
}

/// The number of tasks under way, whenever it changes.
void add_busy_workers(const ProfileJson& tasks, int process, std::vector<ProfileJson>& events) {
    std::map<std::int64_t, int> changes{{0, 0}};
    for (const ProfileJson& task : tasks) {
        ++changes[nanoseconds(task.at("start_us"))];
        --changes[nanoseconds(task.at("end_us"))];
    }
    int busy = 0;
    for (const auto& [time, change] : changes) {
        busy += change;
        if (change == 0 && time != 0) continue;
        events.push_back(
            {{"ph", "C"}, {"name", "busy workers"}, {"pid", process}, {"ts", microseconds(time)}, {"args", {{"busy", busy}}}});
    }
}

std::string process_name(const ProfileJson& run) {
    return fmt::format("{}, {}, {} thread{}{}", run.at("case").get<std::string>(), run.at("schedule").get<std::string>(),
                       run.at("threads").get<int>(), run.at("threads") == 1 ? "" : "s", is_disturbed(run) ? ", disturbed" : "");
}

/// The threads of a run are named before their slices; the events come in the order of their times.
void add_run(const ProfileJson& run, Numbers& numbers, ProfileJson& trace) {
    const int process = numbers.next(), loops = numbers.next();
    trace.push_back(metadata("process_name", process, 0, {{"name", process_name(run)}}));
    trace.push_back(metadata("process_sort_index", process, 0, {{"sort_index", process}}));
    const auto add_thread = [&](int thread, const std::string& name) {
        trace.push_back(metadata("thread_name", process, thread, {{"name", name}}));
        trace.push_back(metadata("thread_sort_index", process, thread, {{"sort_index", thread}}));
    };
    add_thread(loops, "loops");
    std::map<int, int> threads;
    for (const ProfileJson& worker : run.at("workers")) {
        const int number = worker.at("worker").get<int>();
        threads[number] = numbers.next();
        add_thread(threads[number], fmt::format("worker {}", number));
    }

    std::vector<ProfileJson> events;
    for (const ProfileJson& loop : run.at("loops")) {
        events.push_back(slice(loop.at("operation").get<std::string>(), "loop", process, loops, loop,
                               {{"workers", loop.at("workers")}, {"tasks", loop.at("tasks")}}));
    }
    for (const ProfileJson& task : run.at("tasks"))
        events.push_back(task_slice(task, process, threads.at(task.at("worker").get<int>())));
    add_busy_workers(run.at("tasks"), process, events);
    std::multimap<double, ProfileJson> in_time;  // those that begin together stay in this order
    for (ProfileJson& event : events) {
        const double begin = event.at("ts").get<double>();
        in_time.emplace(begin, std::move(event));
    }
    for (auto& [begin, event] : in_time) trace.push_back(std::move(event));
}

}  // namespace

std::string profile_trace(const std::string& json) {
    const ProfileJson profile = parse_profile(json);
    ProfileJson events = ProfileJson::array();
    Numbers numbers;
    for (const ProfileJson& run : profile.at("runs")) add_run(run, numbers, events);
    const ProfileJson trace{
        {"displayTimeUnit", "ns"},
        {"otherData", {{"program", "headwise"}, {"version", profile.at("version")}, {"machine", profile.at("machine")}}},
        {"traceEvents", std::move(events)}};
    return json_text(trace, -1);
}

}  // namespace headwise::tools
