#pragma once

#include <span>
#include <string>
#include <vector>

#include "profile/analyze/profiled_run.hpp"
#include "profile/record/record.hpp"

namespace headwise::tools {

/// All that follows from the recorded runs of one case. The first is that on one thread with the automatic schedule.
std::vector<ProfiledRun> analyze(const std::string& name, const std::string& operation, const Workload& workload,
                                 std::span<const RecordedRun> recorded);

}  // namespace headwise::tools
