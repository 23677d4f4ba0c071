#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "verify/check_result.hpp"

namespace headwise::tools {

struct ResultErrors;
class ThreadTeam;

/// The checks of `headwise verify`, each on the active ISA.

/// exp and exp2 over all floats, in steps, and all floats around the edges.
std::vector<CheckResult> verify_exp();

/// Products of random sizes and layouts.
CheckResult verify_matmul(std::uint64_t seed, ThreadTeam& team);

/// Random calls of attention, those of seed, seed + 1, ...
struct RandomCalls {
    std::uint64_t seed = 1;
    std::int64_t count = 1;
    double seconds = std::numeric_limits<double>::infinity();  ///< after which no more are begun
    std::string repeat;                                        ///< options that a command line needs to repeat one of them
};

/// Their errors, and whether one thread and the team make the same bits. `progress` is told how many are done.
std::vector<CheckResult> verify_random_calls(const RandomCalls& calls, ThreadTeam& team,
                                             const std::function<void(std::int64_t)>& progress);

/// Calls large enough for many threads: the same bits with each of the numbers of threads.
CheckResult verify_thread_counts(const std::vector<int>& thread_counts);

/// The error as a percentage of what is allowed; infinite where NaN or infinity stands for a number, or the other way round.
double percentage(const ResultErrors& errors);

}  // namespace headwise::tools
