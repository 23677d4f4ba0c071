#pragma once

#include <cstdint>
#include <vector>

#include "profile/record/recording.hpp"

namespace headwise::tools {

/// How one worker spent a call, over all of its loops.
struct WorkerShare {
    int worker = 0;
    double busy = 0;     ///< seconds, in tasks
    double idle = 0;     ///< the rest of the call
    double wake_up = 0;  ///< of that: from the start of a loop to its first task; all of a loop in which it came too late for any
    double tail = 0;     ///< of that: from the end of its last task to that of the loop
    std::int64_t tasks = 0;
    std::int64_t heads = 0;  ///< different ones, of any batch
};

/// One for each thread.
std::vector<WorkerShare> worker_shares(const Recording& recording);

}  // namespace headwise::tools
