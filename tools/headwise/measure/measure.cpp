#include "measure/measure.hpp"

#include <algorithm>
#include <cmath>

namespace headwise::tools {
namespace {

constexpr double kWarmUp = 0.05;  // seconds: caches, page tables, clock, oneTBB's workers

double time_calls(ThreadTeam& team, const std::function<void()>& call, std::int64_t calls, double (*clock)()) {
    return team.run([&] {
        const double start = clock();
        for (std::int64_t i = 0; i < calls; ++i) call();
        return clock() - start;
    });
}

/// Seconds of a call, by calls that went on for the warm-up.
double warm_up(ThreadTeam& team, const std::function<void()>& call, double (*clock)()) {
    double elapsed = 0, last = 0;
    for (std::int64_t calls = 1; elapsed < kWarmUp; calls *= 2) {
        const double seconds = time_calls(team, call, calls, clock);
        elapsed += seconds;
        last = seconds / static_cast<double>(calls);
    }
    return last;
}

}  // namespace

Measurement measure(ThreadTeam& team, const std::function<void()>& call, double work, const std::function<double()>& yardstick,
                    const MeasureLimits& limits) {
    Measurement result;
    const double estimate = std::max(warm_up(team, call, limits.clock), 1e-9);
    result.calls_per_round = std::max<std::int64_t>(1, std::llround(std::ceil(limits.burst / estimate)));

    std::vector<double> seconds, fractions, yardsticks{yardstick()};
    const double start = limits.clock();
    while (true) {
        seconds.push_back(time_calls(team, call, result.calls_per_round, limits.clock) /
                          static_cast<double>(result.calls_per_round));
        yardsticks.push_back(yardstick());
        const double beside = (yardsticks[yardsticks.size() - 2] + yardsticks.back()) / 2;
        fractions.push_back(work / seconds.back() / beside);
        ++result.rounds;
        const double elapsed = limits.clock() - start;
        if (result.rounds >= limits.least_rounds && elapsed >= limits.seconds) break;
        if (result.rounds >= 3 && elapsed >= limits.most_seconds) break;
    }
    result.seconds = quartiles(seconds);
    result.fraction = quartiles(fractions);
    result.yardstick = quartiles(yardsticks).median;
    return result;
}

}  // namespace headwise::tools
