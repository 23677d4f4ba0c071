#include "profile/analyze/simulate.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

namespace headwise::tools {

double memory_stretch(int tasks, double busy) {
    // Found for one task after the other: one more finds the queue as it is on average without it.
    double waiting = 0, stretch = 1;
    for (int count = 1; count <= tasks; ++count) {
        const double at_memory = busy * (1 + waiting);
        stretch = 1 - busy + at_memory;
        waiting = count / stretch * at_memory;
    }
    return stretch;
}

double simulate(std::span<const SimulatedTask> tasks, int workers, double bandwidth) {
    // All running tasks are stretched by the same factor, so one clock that slows down with it serves them all: on it a task ends
    // where it began plus its seconds, whatever starts or ends beside it.
    using End = std::pair<double, std::size_t>;  // on that clock; task
    std::priority_queue<End, std::vector<End>, std::greater<>> running;
    double clock = 0, seconds = 0, demand = 0;
    std::size_t next = 0;
    while (next < tasks.size() || !running.empty()) {
        while (next < tasks.size() && running.size() < static_cast<std::size_t>(workers)) {
            running.emplace(clock + tasks[next].seconds, next);
            demand += tasks[next].bytes_per_second;
            ++next;
        }
        const auto [end, task] = running.top();
        running.pop();
        const auto count = static_cast<double>(running.size() + 1);
        const double busy = std::min(demand / count / bandwidth, 1.0);
        seconds += (end - clock) * (busy > 0 ? memory_stretch(static_cast<int>(count), busy) : 1);
        clock = end;
        demand -= tasks[task].bytes_per_second;
    }
    return seconds;
}

}  // namespace headwise::tools
