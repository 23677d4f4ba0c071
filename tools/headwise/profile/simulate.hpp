#pragma once

#include <limits>
#include <span>

namespace headwise::tools {

/// What a task takes when it runs alone, and what it asks of memory then.
struct SimulatedTask {
    double seconds = 0;
    double bytes_per_second = 0;
};

/// Seconds until the last task ends, where the next free worker draws the next task in order ("list scheduling") and neither waking
/// nor drawing takes time. Tasks that run at once share the bandwidth: while they ask for more than there is, each advances by the
/// same factor bandwidth / demand of its speed. Discrete events, O(tasks log workers).
double simulate(std::span<const SimulatedTask> tasks, int workers, double bandwidth = std::numeric_limits<double>::infinity());

}  // namespace headwise::tools
