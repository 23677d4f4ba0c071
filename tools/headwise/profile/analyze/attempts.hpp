#pragma once

#include <functional>
#include <vector>

#include "profile/analyze/profiled_run.hpp"

namespace headwise::tools {

/// Measurements of one case, at most: a machine that is always busy must not keep the user waiting.
constexpr int kMostAttempts = 3;

/// Measures a case, and measures it again while others disturb any of its runs, at most kMostAttempts times. The runs of one
/// measurement belong together, so the one that lost the least in all is kept whole; its runs say how many there were. `measure` is
/// called with the number of the attempt, from 1 on.
std::vector<ProfiledRun> least_disturbed(const std::function<std::vector<ProfiledRun>(int attempt)>& measure);

}  // namespace headwise::tools
