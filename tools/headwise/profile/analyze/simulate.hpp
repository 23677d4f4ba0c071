#pragma once

#include <limits>
#include <span>

namespace headwise::tools {

/// What a task takes when it runs alone, and what it asks of memory then.
struct SimulatedTask {
    double seconds = 0;
    double bytes_per_second = 0;
};

/// How many times as long each of `tasks` running tasks takes as alone, where alone it keeps the memory busy for the share `busy`
/// of its time: mean value analysis of a closed network of one queue, the memory, and workers that compute before they ask again
/// (Reiser, Lavenberg, JACM 1980). 1 for one task; with many, tasks * busy.
double memory_stretch(int tasks, double busy);

/// Seconds until the last task ends, where the next free worker draws the next task in order ("list scheduling") and neither waking
/// nor drawing takes time. Tasks that run at once share the bandwidth: all are stretched alike, as memory_stretch() has it of their
/// mean share of it. Discrete events, O(tasks log workers), with a bandwidth O(tasks workers).
double simulate(std::span<const SimulatedTask> tasks, int workers, double bandwidth = std::numeric_limits<double>::infinity());

}  // namespace headwise::tools
