#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "measure/machine_probe.hpp"
#include "profile/record/recording.hpp"
#include "workloads/workload.hpp"

namespace headwise::tools {

/// How a workload is run.
struct RunSetting {
    int threads = 1;
    AttentionSchedule schedule = AttentionSchedule::automatic;

    bool operator==(const RunSetting&) const = default;
};

/// What the threads of a run can do at most: medians of measurements in turn with the repetitions, as other minutes have other
/// peaks.
struct Yardsticks {
    double fma_gflops = 0;
    double read_gb_per_s = 0;  ///< over as large a working set as the workload has
};

/// All repetitions in one setting.
struct RecordedRun {
    RunSetting setting;
    int repeats = 0;
    Recording median;                  ///< the repetition of the median time; of an even number the lower one
    std::vector<double> task_seconds;  ///< on one thread: what each of its tasks takes over all repetitions
    Yardsticks yardsticks;
};

/// Number of repetitions: 0 stands for up to 21, but at least 3, in a few seconds.
struct Repeats {
    int count = 0;
};

/// Runs a workload in each setting in turn, repetition by repetition, under a ProfileScope.
class Recorder {
  public:
    using Teams = std::map<int, std::unique_ptr<ThreadTeam>>;  ///< by number of threads

    /// `show` is called with the number of the repetition that begins.
    Recorder(Teams& teams, MachineProbe& probe, Repeats repeats, std::function<void(int)> show);

    /// Throws UsageError where there is no memory for the records.
    std::vector<RecordedRun> record(Workload& workload, std::span<const RunSetting> settings);

    /// Why there are no hardware counters, or "available".
    const std::string& counters() const { return counters_; }

  private:
    Teams& teams_;
    MachineProbe& probe_;
    Repeats repeats_;
    std::function<void(int)> show_;
    std::string counters_;
};

}  // namespace headwise::tools
