#include <algorithm>
#include <cmath>
#include <cstdio>

#include "engine/attention/check.hpp"
#include "engine/attention/run.hpp"
#include "engine/attention/schedule.hpp"
#include "engine/attention/workspace.hpp"
#include "engine/kernels/kernel_table.hpp"
#include "engine/runtime/parallel.hpp"
#include "engine/runtime/workspace_pool.hpp"
#include "engine/tensor/steps.hpp"
#include "headwise/attention.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

int planned_workers(const AttentionOptions& options) {
    const int available = runtime::available_workers();
    return options.max_threads > 0 ? std::min(options.max_threads, available) : available;
}

/// The workspace for any key length.
AttentionWorkspace workspace_for(const AttentionShape& shape, const AttentionSchedule& schedule, int workers) {
    const std::int64_t blocks = schedule.rows == 0 ? 0 : shape.batch * shape.num_kv_heads * schedule.blocks;
    return {schedule, workers, blocks, max_partial_states(schedule, blocks, workers)};
}

}  // namespace

AttentionPlan::AttentionPlan(const AttentionShape& shape, const AttentionOptions& options)
    : shape_(checked_shape(shape, options)),
      options_(options),
      isa_(options.isa.value_or(active_isa())),
      workers_(planned_workers(options)) {
    const AttentionSchedule schedule = schedule_attention(shape_, options_.causal, kernel_table(isa_).attention, workers_);
    workspace_bytes_ = workspace_for(shape_, schedule, workers_).bytes();
}

void AttentionPlan::run(const TensorView<const float, 4>& query, const TensorView<const float, 4>& key,
                        const TensorView<const float, 4>& value, const TensorView<float, 4>& out,
                        std::span<std::byte> workspace) const {
    check_views(shape_, query, key, value, out);
    if (workspace.size() < workspace_bytes_)
        throw Error("workspace.size() is " + std::to_string(workspace.size()) +
                    ", expected at least workspace_bytes() = " + std::to_string(workspace_bytes_));
    AttentionShape shape = shape_;
    shape.key_length = key.extent[2];
    const AttentionSchedule schedule = schedule_attention(shape, options_.causal, kernel_table(isa_).attention, workers_);
    AttentionWorkspace layout = workspace_for(shape, schedule, workers_);
    layout.bind(workspace);
    const float scale = options_.scale.value_or(static_cast<float>(1 / std::sqrt(static_cast<double>(shape.head_dim))));
    run_attention({shape, options_.causal, scale, query, without_unused_strides(key), without_unused_strides(value), out}, schedule,
                  layout);
}

AttentionExplanation AttentionPlan::explain(std::int64_t key_length) const {
    AttentionShape shape = shape_;
    shape.key_length = key_length;
    check_shape(shape, options_, ShapeNames::of_shape());
    const AttentionSchedule s = schedule_attention(shape, options_.causal, kernel_table(isa_).attention, workers_);
    return {.isa = isa_,
            .kernel = s.kernel->name,
            .query_block = s.block_rows,
            .key_block = s.kernel->key_block,
            .key_chunks = s.chunks,
            .keys_split = s.split,
            .tasks = s.items,
            .workers = s.workers,
            .flops = s.flops,
            .bytes = s.bytes,
            .workspace_bytes = workspace_bytes_};
}

std::string AttentionExplanation::text() const {
    char line[512];
    std::snprintf(line, sizeof line,
                  "kernel %s on %s: %lld rows a block, %lld keys a block\n"
                  "%lld tasks on %d workers, keys in %lld chunks%s\n"
                  "%.3f GFLOP, %.3f MB, %.1f FLOP a byte, workspace %.1f KiB\n",
                  kernel.c_str(), std::string(isa_name(isa)).c_str(), static_cast<long long>(query_block),
                  static_cast<long long>(key_block), static_cast<long long>(tasks), workers, static_cast<long long>(key_chunks),
                  keys_split ? ", each a task" : (key_chunks > 1 ? ", in one task" : ""), flops * 1e-9, bytes * 1e-6,
                  bytes > 0 ? flops / bytes : 0, static_cast<double>(workspace_bytes) / 1024);
    return line;
}

void attention(const TensorView<const float, 4>& query, const TensorView<const float, 4>& key,
               const TensorView<const float, 4>& value, const TensorView<float, 4>& out, const AttentionOptions& options) {
    const AttentionShape shape{.batch = query.extent[0],
                               .num_heads = query.extent[1],
                               .num_kv_heads = key.extent[1],
                               .query_length = query.extent[2],
                               .key_length = key.extent[2],
                               .head_dim = query.extent[3],
                               .value_dim = value.extent[3]};
    check_shape(shape, options, ShapeNames::of_views());
    const AttentionPlan plan(shape, options);
    const runtime::PooledWorkspace workspace(plan.workspace_bytes());
    plan.run(query, key, value, out, workspace.bytes());
}

}  // namespace headwise
