#include "profile/analyze/heads.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "measure/statistics.hpp"

namespace headwise::tools {
namespace {

void add_task(HeadShare& share, const TaskRecord& task) {
    share.batch = task.batch;
    share.head = task.head;
    share.heads = task.heads;
    share.seconds += seconds_of(task);
    share.flops += task.flops;
    const auto place = std::ranges::lower_bound(share.workers, task.worker);
    if (place == share.workers.end() || *place != task.worker) share.workers.insert(place, task.worker);
}

}  // namespace

std::vector<HeadShare> head_shares(const Recording& recording) {
    std::map<std::pair<std::int64_t, std::int64_t>, HeadShare> by_head;
    for (const TaskRecord& task : head_tasks(recording)) add_task(by_head[{task.batch, task.head}], task);

    std::vector<HeadShare> shares;
    std::vector<double> times;
    for (const auto& [key, share] : by_head) {
        shares.push_back(share);
        times.push_back(share.seconds);
    }
    const double busy = busy_seconds(recording), median = quartiles(times).median;
    for (HeadShare& share : shares) {
        share.share = busy > 0 ? share.seconds / busy : 0;
        share.ratio_to_median = median > 0 ? share.seconds / median : 1;
    }
    return shares;
}

}  // namespace headwise::tools
