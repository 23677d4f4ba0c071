#pragma once

#include <cstdint>
#include <functional>

#include "measure/statistics.hpp"
#include "measure/thread_team.hpp"

namespace headwise::tools {

struct MeasureLimits {
    int least_rounds = 5;
    double seconds = 0.8;     ///< rounds go on until then
    double most_seconds = 8;  ///< after which 3 rounds are enough
    double burst = 0.03;      ///< seconds of the engine in one round, at least
    double (*clock)() = now;  ///< seconds
};

struct Measurement {
    Quartiles seconds;     ///< of one call
    Quartiles fraction;    ///< of the yardstick, by round
    double yardstick = 0;  ///< median of its rates
    int rounds = 0;
    std::int64_t calls_per_round = 0;
};

/// Times `call`, which does `work` in units of the yardstick (FLOPs or bytes), against the yardstick, which returns units a second.
/// After a warm-up the two take turns on the same threads: yardstick, engine, yardstick, engine, ..., yardstick. A round's fraction
/// is the engine's rate over the mean of the yardsticks just before and after it: the clock floats, and other minutes have other
/// peaks.
Measurement measure(ThreadTeam& team, const std::function<void()>& call, double work, const std::function<double()>& yardstick,
                    const MeasureLimits& limits = {});

}  // namespace headwise::tools
