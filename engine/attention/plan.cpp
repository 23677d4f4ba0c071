#include <algorithm>
#include <array>
#include <string>

#include "engine/attention/call.hpp"
#include "engine/attention/explain.hpp"
#include "engine/attention/run.hpp"
#include "engine/attention/schedule.hpp"
#include "engine/attention/workspace.hpp"
#include "engine/contract/check_arguments.hpp"
#include "engine/contract/check_shape.hpp"
#include "engine/kernels/kernel_table.hpp"
#include "engine/runtime/parallel.hpp"
#include "engine/runtime/workspace_pool.hpp"
#include "headwise/attention.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

int checked_workers(int workers, const AttentionOptions& options) {
    if (workers < 1) throw Error("workers is " + std::to_string(workers) + ": expected at least 1");
    return options.max_threads > 0 ? std::min(options.max_threads, workers) : workers;
}

int planned_workers(const AttentionOptions& options) {
    return checked_workers(runtime::available_workers(), options);
}

AttentionShape checked_plan(const AttentionShape& shape, const AttentionOptions& options) {
    check_execution(options);
    return checked_shape(shape, options);
}

AttentionWorkspace workspace_for(const AttentionShape& shape, const AttentionOptions& options, const AttentionKernels& kernels,
                                 int workers) {
    const AttentionSizes sizes = attention_sizes(shape, options.shared_prefix, kernels);
    PartialStates partial_states;
    if (options.schedule == AttentionSchedule::automatic)
        partial_states = {.own = max_partial_states(sizes.own, workers), .shared = max_partial_states(sizes.shared, workers)};
    return {shape, sizes, options.rope != nullptr, workers, partial_states};
}

/// The arguments have been checked, and the workspace is large enough.
void compute(const AttentionShape& shape, const AttentionOptions& options, const KernelTable& kernels, int workers,
             const AttentionArguments& arguments, std::span<std::byte> workspace) {
    AttentionWorkspace layout = workspace_for(shape, options, kernels.attention, workers);
    layout.bind(workspace);
    const AttentionArguments usable = with_usable_strides(arguments);
    const AttentionCall call(shape, options, usable, kernels);
    const CallItems items = share_items(count_work(call), options.schedule, layout.partial_states(), workers);
    list_items(call, items, layout);
    run_attention(call, items, layout);
}

}  // namespace

AttentionPlan::AttentionPlan(const AttentionShape& shape, const AttentionOptions& options)
    : shape_(checked_plan(shape, options)),
      options_(options),
      isa_(isa_of(options)),
      workers_(planned_workers(options)),
      workspace_bytes_(workspace_for(shape_, options_, kernel_table(isa_).attention, workers_).bytes()) {}

void AttentionPlan::run(const AttentionArguments& arguments, std::span<std::byte> workspace) const {
    const std::span scratch(reinterpret_cast<const std::uint8_t*>(workspace.data()), workspace.size());
    const CheckedView written = checked_view("workspace", scratch);
    check_call(shape_, options_, tensors_of(arguments), arguments, {&written, 1});
    if (workspace.size() < workspace_bytes_)
        throw Error("workspace.size() is " + std::to_string(workspace.size()) +
                    ", expected at least workspace_bytes() = " + std::to_string(workspace_bytes_));
    compute(shape_, options_, kernel_table(isa_), workers_, arguments, workspace);
}

AttentionExplanation AttentionPlan::explain(std::int64_t key_length, std::optional<int> workers) const {
    AttentionShape shape = shape_;
    shape.key_length = key_length;
    check_shape(shape, options_, ShapeNames::of_shape());
    const auto extents = [&](std::int64_t heads, std::int64_t length, std::int64_t dim) {
        return std::array{shape.batch, heads, length, dim};
    };
    AttentionArguments arguments;
    arguments.query = {nullptr, extents(shape.num_heads, shape.query_length, shape.head_dim), {}};
    arguments.key = {nullptr, extents(shape.num_kv_heads, key_length, shape.head_dim), {}};
    arguments.value = {nullptr, extents(shape.num_kv_heads, key_length, shape.value_dim), {}};
    arguments.out = {nullptr, extents(shape.num_heads, shape.query_length, shape.value_dim), {}};
    return explain(arguments, workers);
}

AttentionExplanation AttentionPlan::explain(const AttentionArguments& arguments, std::optional<int> workers) const {
    const int available = workers ? checked_workers(*workers, options_) : workers_;
    check_length_arguments(arguments);
    check_lengths(shape_, options_, arguments);
    const KernelTable& kernels = kernel_table(isa_);
    return explain_attention({shape_, options_, arguments, kernels}, workspace_for(shape_, options_, kernels.attention, available),
                             isa_, available);
}

void attention(const AttentionArguments& arguments, const AttentionOptions& options) {
    const CallTensors tensors = tensors_of(arguments);
    const AttentionShape shape = shape_of(tensors, arguments);
    check_shape(shape, options, ShapeNames::of_views());
    check_execution(options);
    check_call(shape, options, tensors, arguments);  // before the workspace, which grows with the batch
    const KernelTable& kernels = kernel_table(isa_of(options));
    const int workers = planned_workers(options);
    const runtime::PooledWorkspace workspace(workspace_for(shape, options, kernels.attention, workers).bytes());
    compute(shape, options, kernels, workers, arguments, workspace.bytes());
}

}  // namespace headwise
