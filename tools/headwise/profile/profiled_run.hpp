#pragma once

#include <string>
#include <vector>

#include "machine_probe.hpp"
#include "profile/heads.hpp"
#include "profile/metrics.hpp"
#include "profile/recording.hpp"
#include "profile/what_if.hpp"
#include "profile/workers.hpp"
#include "roofline.hpp"

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
};

struct ProfileReport {
    MachinePeaks peaks;
    std::string counters;  ///< "available", or why hardware counters cannot be read
    std::vector<ProfiledRun> runs;
};

}  // namespace headwise::tools
