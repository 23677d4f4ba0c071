#pragma once

#include <string>
#include <vector>

#include "profile/analyze/profiled_run.hpp"

namespace headwise::tools {

/// Where the time of a run's workers went, as shares of threads * runtime; with busy they come to 1.
struct Losses {
    double wake_up = 0, tail = 0;
    double drawing = 0;  ///< between the tasks of a worker
    double serial = 0;   ///< outside of the parallel loops, where one thread works and the others wait
    double unused = 0;   ///< of threads that a loop gave nothing to do
    double slower = 0;   ///< of the busy time: what the tasks take longer than on one thread
};
Losses losses(const ProfiledRun& run, const Recording& one_thread);

struct Diagnosis {
    std::vector<std::string> lines;  ///< plain words with the number behind each
    double disturbance = 0;          ///< as ProfiledRun has it: the most that any of the lines puts down to others
};

/// What a run tells. `run` has everything but its diagnosis.
Diagnosis diagnosis(const ProfiledRun& run, const Recording& one_thread, const OneThreadCosts& costs);

}  // namespace headwise::tools
