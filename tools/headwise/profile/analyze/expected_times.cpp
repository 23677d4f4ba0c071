#include "profile/analyze/expected_times.hpp"

namespace headwise::tools {

ExpectedTimes::ExpectedTimes(const OneThreadCosts& costs) {
    for (std::int32_t loop = 0; const OneThreadCosts::Loop& tasks : costs.loops) {
        of_heads_.push_back(tasks.of_heads);
        for (const OneThreadCosts::Task& task : tasks.tasks) {
            for (Work* work : {&blocks_[{loop, task.batch, task.head, task.row_block}], &heads_[{loop, task.batch, task.head}]}) {
                work->seconds += task.seconds;
                work->flops += task.flops;
            }
        }
        ++loop;
    }
}

std::optional<double> ExpectedTimes::of(const TaskRecord& task) const {
    const auto head = heads_.find({task.run, task.batch, task.head});
    if (head == heads_.end() || head->second.flops <= 0 || task.flops <= 0) return std::nullopt;
    Work work = head->second;
    // Blocks of a product are others on each number of threads. A task of more FLOPs than its block is a whole head.
    const auto block = blocks_.find({task.run, task.batch, task.head, task.row_block});
    const bool is_of_block =
        of_heads_[static_cast<std::size_t>(task.run)] && block != blocks_.end() && task.flops <= 1.001 * block->second.flops;
    if (is_of_block) work = block->second;
    return task.flops * work.seconds / work.flops;
}

}  // namespace headwise::tools
