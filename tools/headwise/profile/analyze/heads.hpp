#pragma once

#include <cstdint>
#include <vector>

#include "profile/record/recording.hpp"

namespace headwise::tools {

/// What one head cost: one key/value head with the query heads that share it. In a product: one member of the batch.
struct HeadShare {
    std::int64_t batch = 0, head = 0, heads = 1;  ///< as in TaskRecord
    double seconds = 0;                           ///< of all its tasks
    double share = 0;                             ///< of the time in all tasks of the call
    double flops = 0;
    double ratio_to_median = 1;  ///< of the heads' times
    std::vector<int> workers;    ///< that ran tasks of it, ascending

    double gflops() const { return seconds > 0 ? flops / seconds / 1e9 : 0; }
};

/// By batch, then by head.
std::vector<HeadShare> head_shares(const Recording& recording);

}  // namespace headwise::tools
