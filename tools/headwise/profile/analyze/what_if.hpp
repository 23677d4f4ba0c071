#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "profile/record/recording.hpp"

namespace headwise::tools {

/// What the engine decides (AttentionPlan::explain): how many workers it wakes, and whether ranges of a block's keys are tasks.
struct AttentionDivision {
    int workers = 1;
    bool keys_split = false;
};

/// A call as one thread ran it: what any number of workers would make of it. docs/profile.md has the rules and their limits.
struct OneThreadCosts {
    struct Task {
        std::int64_t batch = 0, head = 0, row_block = 0;
        double seconds = 0, flops = 0, bytes = 0;
    };
    struct Loop {
        bool of_heads = true;     ///< otherwise of a product, which is cut anew for each number of workers
        std::vector<Task> tasks;  ///< in the order in which they are drawn; where of heads, one for each block of a head's rows
    };
    std::vector<Loop> loops;
    double serial_seconds = 0;    ///< outside of all tasks
    std::int64_t key_chunks = 1;  ///< parts that attention can cut the keys of a block into
    /// How the engine divides attention among so many workers: all of them, in whole blocks, unless told otherwise.
    std::function<AttentionDivision(int)> divide = [](int workers) { return AttentionDivision{.workers = workers}; };
    double bandwidth = std::numeric_limits<double>::infinity();  ///< bytes a second that all workers share
};

/// The costs as a recording on one thread has them. `seconds`, if not empty, are those of its tasks, in their order.
OneThreadCosts one_thread_costs(const Recording& recording, std::span<const double> seconds = {});

/// Of the whole call.
double predicted_seconds(const OneThreadCosts& costs, int workers, AttentionSchedule schedule);

/// The share of the workers' time that attention's tasks fill, by this schedule alone: waking and all else cost nothing.
double filled_share(const OneThreadCosts& costs, int workers, AttentionSchedule schedule);

struct WhatIf {
    int workers = 1;
    AttentionSchedule schedule = AttentionSchedule::automatic;
    double seconds = 0;
    double parallel_efficiency = 1;  ///< against one worker
};

/// 1 to 256 workers, as many as there are heads and those in `more` among them; attention in all three schedules.
std::vector<WhatIf> what_if(const OneThreadCosts& costs, std::span<const int> more);

}  // namespace headwise::tools
