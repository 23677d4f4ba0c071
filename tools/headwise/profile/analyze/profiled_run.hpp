#pragma once

#include <string>
#include <vector>

#include "measure/machine_probe.hpp"
#include "measure/roofline.hpp"
#include "profile/analyze/heads.hpp"
#include "profile/analyze/metrics.hpp"
#include "profile/analyze/what_if.hpp"
#include "profile/analyze/workers.hpp"
#include "profile/record/recording.hpp"

namespace headwise::tools {

/// A case at one number of threads in one schedule: what was recorded and all that follows from it.
struct ProfiledRun {
    std::string name;       ///< of the case
    std::string operation;  ///< "attention", "layer" or "matmul"
    AttentionSchedule schedule = AttentionSchedule::automatic;
    int repeats = 0;
    Recording recording;
    std::vector<WorkerShare> workers;
    std::vector<HeadShare> heads;
    Metrics metrics;
    Roofline roofline;
    std::vector<WhatIf> what_if;  ///< the same for all runs of a case
    std::vector<std::string> diagnosis;
    /// Share of the workers' time that others took, as far as it shows: other programs, or a core that is slower. 0: none.
    double disturbance = 0;
    int attempts = 1;  ///< measurements of the case, of which the least disturbed one is shown

    bool disturbed() const { return disturbance > 0; }
};

struct ProfileReport {
    MachinePeaks peaks;
    std::string counters;  ///< "available", or why hardware counters cannot be read
    std::vector<ProfiledRun> runs;
};

}  // namespace headwise::tools
