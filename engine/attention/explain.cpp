#include "engine/attention/explain.hpp"

#include <algorithm>
#include <string>

#include "engine/attention/task_work.hpp"
#include "engine/contract/argument_list.hpp"
#include "engine/contract/sequences.hpp"
#include "engine/tensor/number_text.hpp"

namespace headwise {
namespace {

/// The names of the variants in use; all of them run in the one fused path.
std::string variants_of(const AttentionOptions& o, const AttentionArguments& a) {
    std::string names;
    const auto add = [&](bool is_used, const char* name) {
        if (!is_used) return;
        if (!names.empty()) names += ", ";
        names += name;
    };
    add(o.causal == Causal::top_left, "causal top-left");
    add(o.causal == Causal::bottom_right, "causal bottom-right");
    add(o.window.left >= 0 || o.window.right >= 0, "window");
    add(o.softcap != 0, "softcap");
    add(o.rope != nullptr, "RoPE");
    for_each_rule(a, [&](const Argument& argument, const auto& x) {
        if (argument.rule) add(is_given(x), argument.rule);
    });
    add(a.shared_keys > 0, "shared prefix");
    add(a.score_function.apply != nullptr, "score function");
    add(a.log_sum_exp.data != nullptr, "log-sum-exp");
    return names;
}

/// Updates the smallest and the largest task.
void add_task(AttentionExplanation& e, double flops) {
    e.least_task_flops = std::min(e.least_task_flops, flops);
    e.most_task_flops = std::max(e.most_task_flops, flops);
}

/// Adds the tasks of a common prefix. All rows of a task see all of its keys.
void add_shared_tasks(AttentionExplanation& e, const SequenceSchedule& s, AttentionItem item, double flops_per_pair) {
    const std::int64_t step = item == AttentionItem::head ? s.rows : s.block_rows;
    for (std::int64_t row = 0; row < s.rows; row += step) {
        const std::int64_t rows = std::min(step, s.rows - row);
        for (std::int64_t chunk = 0; chunk < (item == AttentionItem::chunk ? s.chunks : 1); ++chunk) {
            const std::int64_t keys = item == AttentionItem::chunk ? s.chunk_end(chunk) - s.chunk_begin(chunk) : s.key_end;
            add_task(e, static_cast<double>(rows) * static_cast<double>(keys) * flops_per_pair);
        }
    }
}

/// Adds the tasks of a key/value head of one sequence.
void add_tasks(AttentionExplanation& e, const AttentionCall& call, std::int64_t b, AttentionItem item, double flops_per_pair) {
    BlockPlace place{.b = b, .sequence = sequence_at(call.arguments, b), .schedule = {}, .kv_head = 0, .row = 0, .rows = 0};
    const SequenceSchedule& s = place.schedule = schedule_of(call, place.sequence, b);
    const auto add = [&](KeyLimits keys) { add_task(e, visible_pairs(call, place, keys) * flops_per_pair); };
    const std::int64_t step = item == AttentionItem::head ? s.rows : s.block_rows;
    for (; place.row < s.rows; place.row += step) {
        place.rows = std::min(step, s.rows - place.row);
        if (item == AttentionItem::chunk)
            for (std::int64_t chunk = 0; chunk < s.chunks; ++chunk) add({s.chunk_begin(chunk), s.chunk_end(chunk)});
        else
            add({s.key_begin, s.key_end});
    }
}

}  // namespace

AttentionExplanation explain_attention(const AttentionCall& call, const AttentionWorkspace& workspace, Isa isa, int max_workers) {
    const CallWork work = count_work(call);
    const auto [shared, own] = share_items(work, call.options.schedule, workspace.partial_states(), max_workers);
    double longest = 0;
    std::int64_t shared_rows = 0;
    SequenceSchedule s = schedule_sequence(call.shape, 0, 0, call.kernels.attention);
    bool lanes = shared.count > 0, rows = false;
    for (std::int64_t b = 0; b < call.shape.batch; ++b) {
        const Sequence sequence = sequence_at(call.arguments, b);
        const SequenceSchedule other = schedule_of(call, sequence, b);
        const bool many = other.kernel == &call.kernels.attention.query_lanes;
        lanes = lanes || many;
        rows = rows || !many;
        if (other.key_begin > 0) shared_rows += other.rows;
        if (const double size = (static_cast<double>(sequence.queries) + 1) * (static_cast<double>(sequence.keys) + 1);
            size > longest) {
            longest = size;
            s = other;
        }
    }
    const double flops = work.shared.flops + work.own.flops, bytes = work.shared.bytes + work.own.bytes;
    const std::int64_t tasks = shared.count + own.count;
    AttentionExplanation e{.isa = isa,
                           .kernel = s.kernel->name,
                           .variants = variants_of(call.options, call.arguments),
                           .query_block = s.block_rows,
                           .key_block = s.kernel->key_block,
                           .key_chunks = s.chunks,
                           .keys_split = shared.share.item == AttentionItem::chunk || own.share.item == AttentionItem::chunk,
                           .tasks = tasks,
                           .workers = std::max(shared.share.workers, own.share.workers),
                           .flops = flops,
                           .bytes = bytes,
                           .least_task_flops = tasks > 0 ? flops : 0,
                           .most_task_flops = 0,
                           .limit = flops >= 4 * bytes ? AttentionLimit::compute : AttentionLimit::bandwidth,
                           .workspace_bytes = workspace.bytes()};
    if (lanes && rows) e.kernel = "query-lanes and key-rows";
    const double flops_per_pair = 2 * static_cast<double>(call.shape.head_dim + call.shape.value_dim);
    for (std::int64_t b = 0; b < call.shape.batch; ++b) add_tasks(e, call, b, own.share.item, flops_per_pair);
    if (shared.count == 0) return e;
    const SequenceSchedule together = schedule_shared(call.shape, shared_rows, call.arguments.shared_keys, call.kernels.attention);
    e.query_block = std::max(e.query_block, together.block_rows);
    e.key_block = std::max(e.key_block, together.kernel->key_block);
    e.key_chunks += together.chunks;
    add_shared_tasks(e, together, shared.share.item, flops_per_pair);
    return e;
}

std::string AttentionExplanation::text() const {
    const double mean = tasks > 0 ? flops / static_cast<double>(tasks) : 0;
    const auto mega = [](double x) { return fixed_text(x * 1e-6, 3); };
    const char* split = keys_split ? ", each a task" : key_chunks > 1 ? ", in one task" : "";
    std::string all = variants.empty() ? "" : "fused: " + variants + "\n";
    all += "kernel " + kernel + " on " + std::string(isa_name(isa)) + ": " + std::to_string(query_block) + " rows a block, " +
           std::to_string(key_block) + " keys a block\n";
    all += std::to_string(tasks) + " tasks on " + std::to_string(workers) + " workers, keys in " + std::to_string(key_chunks) +
           " chunks" + split + "\n";
    all += "a task: " + mega(least_task_flops) + " to " + mega(most_task_flops) + " MFLOP, " + mega(mean) + " on average\n";
    all += fixed_text(flops * 1e-9, 3) + " GFLOP, " + mega(bytes) + " MB, " + fixed_text(bytes > 0 ? flops / bytes : 0, 1) +
           " FLOP a byte: limited by " + (limit == AttentionLimit::compute ? "arithmetic" : "bandwidth") + "; workspace " +
           fixed_text(static_cast<double>(workspace_bytes) / 1024, 1) + " KiB\n";
    return all;
}

}  // namespace headwise
