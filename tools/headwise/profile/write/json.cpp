#include "profile/write/reports.hpp"
#include "text/json_text.hpp"

namespace headwise::tools {
namespace {

using Json = nlohmann::ordered_json;

Json or_null(const std::optional<double>& value) {
    return value ? Json(*value) : Json(nullptr);
}

template <class T, class ToJson>
Json list(const std::vector<T>& values, ToJson to_json) {
    Json json = Json::array();
    for (const T& value : values) json.push_back(to_json(value));
    return json;
}

Json rates_by_threads(const std::map<int, double>& rates) {
    Json json = Json::object();
    for (const auto& [threads, rate] : rates) json[std::to_string(threads)] = rate;
    return json;
}

double microseconds(std::int64_t nanoseconds) {
    return 1e-3 * static_cast<double>(nanoseconds);
}

Json loop_json(const RunRecord& loop) {
    return {{"operation", loop.operation},
            {"workers", loop.workers},
            {"tasks", loop.tasks},
            {"start_us", microseconds(loop.start_ns)},
            {"end_us", microseconds(loop.end_ns)}};
}

Json task_json(const TaskRecord& task) {
    return {{"loop", task.run},
            {"worker", task.worker},
            {"batch", task.batch},
            {"head", task.head},
            {"heads", task.heads},
            {"row_block", task.row_block},
            {"column_block", task.column_block},
            {"kernel", task.kernel},
            {"start_us", microseconds(task.start_ns)},
            {"end_us", microseconds(task.end_ns)},
            {"flops", task.flops},
            {"bytes", task.bytes}};
}

Json worker_json(const WorkerShare& share) {
    return {{"worker", share.worker},      {"busy_us", 1e6 * share.busy},
            {"idle_us", 1e6 * share.idle}, {"wake_up_us", 1e6 * share.wake_up},
            {"tail_us", 1e6 * share.tail}, {"tasks", share.tasks},
            {"heads", share.heads}};
}

Json head_json(const HeadShare& head) {
    return {{"batch", head.batch},    {"head", head.head},   {"heads", head.heads},     {"us", 1e6 * head.seconds},
            {"share", head.share},    {"flops", head.flops}, {"gflops", head.gflops()}, {"ratio_to_median", head.ratio_to_median},
            {"workers", head.workers}};
}

Json metrics_json(const Metrics& m) {
    return {{"load_balance", m.load_balance},
            {"communication_efficiency", m.communication_efficiency},
            {"serialization_efficiency", m.serialization_efficiency},
            {"transfer_efficiency", m.transfer_efficiency},
            {"parallel_efficiency", m.parallel_efficiency},
            {"computation_scaling", m.computation_scaling},
            {"ipc_scaling", or_null(m.ipc_scaling)},
            {"frequency_scaling", or_null(m.frequency_scaling)},
            {"global_efficiency", m.global_efficiency},
            {"speedup", m.speedup},
            {"karp_flatt", or_null(m.karp_flatt)}};
}

Json roofline_json(const Roofline& roof) {
    return {{"intensity", roof.intensity},
            {"gflops", roof.gflops},
            {"fma_gflops", roof.fma_gflops},
            {"read_gb_per_s", roof.read_gb_per_s},
            {"bound", roof.by_bandwidth ? "bandwidth" : "compute"}};
}

Json what_if_json(const WhatIf& entry) {
    return {{"workers", entry.workers},
            {"schedule", schedule_name(entry.schedule)},
            {"seconds", entry.seconds},
            {"parallel_efficiency", entry.parallel_efficiency}};
}

Json run_json(const ProfiledRun& run) {
    const Recording& recording = run.recording;
    return {{"case", run.name},
            {"operation", run.operation},
            {"threads", recording.threads},
            {"schedule", schedule_name(run.schedule)},
            {"seconds", recording.seconds},
            {"repeats", run.repeats},
            {"disturbed", run.disturbed()},
            {"disturbance", run.disturbance},
            {"attempts", run.attempts},
            {"dropped", recording.dropped},
            {"loops", list(recording.loops, loop_json)},
            {"tasks", list(recording.tasks, task_json)},
            {"workers", list(run.workers, worker_json)},
            {"heads", list(run.heads, head_json)},
            {"metrics", metrics_json(run.metrics)},
            {"roofline", roofline_json(run.roofline)},
            {"what_if", list(run.what_if, what_if_json)},
            {"diagnosis", run.diagnosis}};
}

}  // namespace

std::string profile_json(const ProfileReport& report) {
    const Json json{{"schema", "headwise.profile/1"},
                    {"version", HEADWISE_VERSION},
                    {"machine",
                     {{"cpu", cpu_info().model},
                      {"isa", isa_name(report.peaks.isa)},
                      {"logical_cores", cpu_info().logical_cores},
                      {"fma_gflops", rates_by_threads(report.peaks.multiply_add_gflops)},
                      {"read_gb_per_s", rates_by_threads(report.peaks.read_gigabytes)},
                      {"counters", report.counters}}},
                    {"runs", list(report.runs, run_json)}};
    return json_text(json, 1);
}

}  // namespace headwise::tools
