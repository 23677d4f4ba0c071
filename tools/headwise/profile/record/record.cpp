#include "profile/record/record.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "buffers/memory_limit.hpp"
#include "measure/statistics.hpp"
#include "text/usage_error.hpp"

namespace headwise::tools {
namespace {

constexpr double kWarmUpSeconds = 0.05;  // caches, page tables, clock, oneTBB's workers
constexpr double kRecordSeconds = 3;     // for each setting, where the number of repetitions is left open
constexpr int kMostRepeats = 21, kLeastRepeats = 3;
constexpr double kYardstickSeconds = 0.01;
constexpr std::int64_t kMostTasks = 1 << 20;  // of a worker in one repetition, 100 MB

/// A call of a workload in one setting, with the profile that records it.
class RecordedCall {
  public:
    RecordedCall(Workload& workload, const RunSetting& setting, ThreadTeam& team)
        : setting_(setting), team_(team), call_(team.run([&] { return workload.prepare_scheduled(setting.schedule); })) {
        const double start = now();
        do repeat();
        while (now() - start < kWarmUpSeconds);
        make_profile({.workers = setting.threads});
        record();
        if (const std::int64_t missing = profile_->dropped(); missing > 0) {
            make_profile({.workers = setting.threads,
                          .tasks_per_worker = std::min(Profile::Capacity().tasks_per_worker + missing, kMostTasks),
                          .runs = std::min(Profile::Capacity().runs + missing, kMostTasks)});
            record();
        }
    }

    const RunSetting& setting() const { return setting_; }

    void repeat() {
        team_.run([&] { call_(); });
    }

    /// One repetition, behind one that is not recorded: in a program calls of one kind follow each other.
    Recording repeat_and_record(ThreadCounters& counters) {
        repeat();
        counters.start();
        const double seconds = record();
        const std::optional<CounterValues> values = counters.stop();
        Recording recording{.threads = setting_.threads,
                            .seconds = seconds,
                            .dropped = profile_->dropped(),
                            .loops = {profile_->runs().begin(), profile_->runs().end()},
                            .tasks = {},
                            .counters = values};
        for (int worker = 0; worker < profile_->workers(); ++worker)
            std::ranges::copy(profile_->tasks(worker), std::back_inserter(recording.tasks));
        arrange(recording);
        return recording;
    }

  private:
    void make_profile(const Profile::Capacity& capacity) {
        check_free_memory("the records of all tasks take", static_cast<double>(sizeof(TaskRecord)) *
                                                               static_cast<double>(capacity.tasks_per_worker) * capacity.workers);
        profile_ = std::make_unique<Profile>(capacity);
    }

    double record() {
        return team_.run([&] {
            profile_->clear();
            const ProfileScope scope(*profile_);
            const double start = now();
            call_();
            return now() - start;
        });
    }

    /// Tasks loop by loop in the order of their starts, all times from that of the first loop on.
    static void arrange(Recording& recording) {
        std::ranges::sort(recording.tasks, {}, [](const TaskRecord& task) { return std::pair(task.run, task.start_ns); });
        if (recording.loops.empty()) return;
        const std::int64_t first = recording.loops.front().start_ns;
        for (RunRecord& loop : recording.loops) loop.start_ns -= first, loop.end_ns -= first;
        for (TaskRecord& task : recording.tasks) task.start_ns -= first, task.end_ns -= first;
    }

    RunSetting setting_;
    ThreadTeam& team_;
    std::function<void()> call_;
    std::unique_ptr<Profile> profile_;
};

/// Of each task, the median over the repetitions, all scaled to the sum of the one that is shown: a single repetition has tasks
/// that were interrupted, and medians alone come to some per cent less than any repetition. One worker runs the tasks in the same
/// order every time.
std::vector<double> typical_task_seconds(const std::vector<Recording>& repetitions, const Recording& shown) {
    std::vector<double> medians(shown.tasks.size()), sample;
    double sum = 0;
    for (std::size_t task = 0; task < medians.size(); ++task) {
        sample.clear();
        for (const Recording& repetition : repetitions)
            if (repetition.tasks.size() == medians.size()) sample.push_back(seconds_of(repetition.tasks[task]));
        medians[task] = quartiles(sample).median;
        sum += medians[task];
    }
    const double scale = busy_seconds(shown) / sum;
    for (double& seconds : medians) seconds *= scale;
    return medians;
}

RecordedRun summary(const RunSetting& setting, std::vector<Recording>& repetitions) {
    RecordedRun run;
    run.setting = setting;
    run.repeats = static_cast<int>(repetitions.size());
    std::ranges::sort(repetitions, {}, &Recording::seconds);
    const std::size_t middle = (repetitions.size() - 1) / 2;
    if (setting.threads == 1) run.task_seconds = typical_task_seconds(repetitions, repetitions[middle]);
    run.median = std::move(repetitions[middle]);
    return run;
}

/// Measurements of the yardsticks at each number of threads.
class YardstickSamples {
  public:
    YardstickSamples(Recorder::Teams& teams, MachineProbe& probe, std::span<const RunSetting> settings, const Workload& workload)
        : teams_(teams), probe_(probe), operands_(workload.operands()) {
        for (const RunSetting& setting : settings) samples_[setting.threads];
    }

    void add() {
        for (auto& [threads, sample] : samples_) {
            ThreadTeam& team = *teams_.at(threads);
            sample.fma.push_back(probe_.multiply_add_gflops(team, kYardstickSeconds));
            sample.read.push_back(probe_.read_gigabytes(team, operands_, kYardstickSeconds));
        }
    }

    Yardsticks medians(int threads) const {
        const Sample& sample = samples_.at(threads);
        return {quartiles(sample.fma).median, quartiles(sample.read).median};
    }

  private:
    struct Sample {
        std::vector<double> fma, read;
    };

    Recorder::Teams& teams_;
    MachineProbe& probe_;
    ReadSet operands_;
    std::map<int, Sample> samples_;
};

/// After one repetition of each.
void check_record_memory(const std::vector<std::vector<Recording>>& repetitions, int repeats) {
    double bytes = 0;
    for (const auto& of_setting : repetitions)
        bytes += static_cast<double>(of_setting.front().tasks.size() * sizeof(TaskRecord)) * repeats;
    if (bytes > available_memory() / 2)
        throw UsageError(fmt::format("--repeat is {}: the records of so many repetitions take {:.3g} GB, more than is free",
                                     repeats, bytes / 1e9));
}

}  // namespace

Recorder::Recorder(Teams& teams, MachineProbe& probe, Repeats repeats, std::function<void(int)> show)
    : teams_(teams), probe_(probe), repeats_(repeats), show_(std::move(show)) {}

std::vector<RecordedRun> Recorder::record(Workload& workload, std::span<const RunSetting> settings) {
    std::vector<RecordedCall> calls;
    for (const RunSetting& setting : settings) calls.emplace_back(workload, setting, *teams_.at(setting.threads));
    ThreadCounters counters;  // of all threads, which the calls have made
    counters_ = counters.reason().empty() ? "available" : counters.reason();

    YardstickSamples samples(teams_, probe_, settings, workload);
    std::vector<std::vector<Recording>> repetitions(calls.size());
    const int most = repeats_.count > 0 ? repeats_.count : kMostRepeats;
    const double start = now(), patience = kRecordSeconds * static_cast<double>(calls.size());
    for (int repeat = 0; repeat < most; ++repeat) {
        if (repeats_.count == 0 && repeat >= kLeastRepeats && now() - start > patience) break;
        show_(repeat);
        samples.add();
        for (std::size_t i = 0; i < calls.size(); ++i) repetitions[i].push_back(calls[i].repeat_and_record(counters));
        if (repeat == 0) check_record_memory(repetitions, most);
    }
    samples.add();

    std::vector<RecordedRun> runs;
    for (std::size_t i = 0; i < calls.size(); ++i) {
        runs.push_back(summary(calls[i].setting(), repetitions[i]));
        runs.back().yardsticks = samples.medians(calls[i].setting().threads);
    }
    return runs;
}

}  // namespace headwise::tools
