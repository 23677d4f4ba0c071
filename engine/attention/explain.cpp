#include "engine/attention/explain.hpp"

#include <algorithm>
#include <cstdio>
#include <string>

#include "engine/attention/sequences.hpp"

namespace headwise {
namespace {

/// The names of what the call asks for beside plain attention, all of it in the one fused path.
std::string variants_of(const AttentionOptions& o, const AttentionArguments& a) {
    std::string names;
    const auto add = [&](bool is_used, const char* name) {
        if (!is_used) return;
        if (!names.empty()) names += ", ";
        names += name;
    };
    add(o.causal == Causal::top_left, "causal top-left");
    add(o.causal == Causal::bottom_right, "causal bottom-right");
    add(!a.prefix_lengths.empty(), "prefix");
    add(o.window.left >= 0 || o.window.right >= 0, "window");
    add(!a.query_lengths.empty(), "query lengths");
    add(!a.key_lengths.empty(), "key lengths");
    add(!a.cumulative_query_lengths.empty(), "ragged");
    add(a.page_table.data != nullptr, "paged");
    add(o.rope != nullptr, "RoPE");
    add(!a.scales.empty(), "scale per head");
    add(o.softcap != 0, "softcap");
    add(a.score_function.apply != nullptr, "score function");
    add(a.bias.data != nullptr, "bias");
    add(!a.alibi_slopes.empty(), "ALiBi");
    add(a.mask.data != nullptr, "mask");
    add(a.mask_bits.data != nullptr, "mask of bits");
    add(a.block_mask.visible.data != nullptr, "block mask");
    add(a.tree_parents.data != nullptr, "tree");
    add(!a.sinks.empty(), "sinks");
    add(a.log_sum_exp.data != nullptr, "log-sum-exp");
    return names;
}

/// Adds the tasks of one sequence to the spread: pairs of (query, key) that the rows of a block, or of a chunk of it, may see.
void add_tasks(AttentionExplanation& e, const AttentionCall& call, std::int64_t b, bool split, double flops_per_pair) {
    const Sequence sequence = sequence_at(call.arguments, b);
    const SequenceSchedule s = schedule_sequence(call.shape, sequence.queries, sequence.keys, call.kernels.attention);
    const PositionRules rules = position_rules(call.options, call.arguments, sequence, b);
    const std::int64_t group = call.shape.num_heads / call.shape.num_kv_heads;
    const auto add = [&](double pairs) {
        const double flops = pairs * flops_per_pair;
        e.least_task_flops = std::min(e.least_task_flops, flops);
        e.most_task_flops = std::max(e.most_task_flops, flops);
    };
    for (std::int64_t block = 0; block < s.blocks; ++block) {
        const std::int64_t first = block * s.block_rows, last = std::min(first + s.block_rows, s.rows);
        if (!split) {
            add((rules.pairs(last / group) - rules.pairs(first / group)) * static_cast<double>(group));
            continue;
        }
        const KeyLimits low = rules.of(first / group), high = rules.of((last - 1) / group);
        for (std::int64_t chunk = 0; chunk < s.chunks; ++chunk) {
            const std::int64_t begin = std::max(chunk * s.key_chunk, low.begin),
                               end = std::min((chunk + 1) * s.key_chunk, high.end);
            add(static_cast<double>(std::max<std::int64_t>(end - begin, 0)) * static_cast<double>(last - first));
        }
    }
}

}  // namespace

AttentionExplanation explain_attention(const AttentionCall& call, const AttentionWorkspace& workspace, Isa isa, int max_workers) {
    const AttentionWork work = count_work(call);
    const AttentionItems items = share_items(work, workspace.partial_states(), max_workers);
    std::int64_t longest = 0;
    Sequence sequence{};
    bool lanes = false, rows = false;
    for (std::int64_t b = 0; b < call.shape.batch; ++b) {
        const Sequence other = sequence_at(call.arguments, b);
        const bool many = schedule_sequence(call.shape, other.queries, other.keys, call.kernels.attention).kernel ==
                          &call.kernels.attention.query_lanes;
        lanes = lanes || many;
        rows = rows || !many;
        if (const std::int64_t size = (other.queries + 1) * (other.keys + 1); size > longest) {
            longest = size;
            sequence = other;
        }
    }
    const SequenceSchedule s = schedule_sequence(call.shape, sequence.queries, sequence.keys, call.kernels.attention);
    AttentionExplanation e{.isa = isa,
                           .kernel = s.kernel->name,
                           .variants = variants_of(call.options, call.arguments),
                           .query_block = s.block_rows,
                           .key_block = s.kernel->key_block,
                           .key_chunks = s.chunks,
                           .keys_split = items.share.split,
                           .tasks = items.count,
                           .workers = items.share.workers,
                           .flops = work.flops,
                           .bytes = work.bytes,
                           .least_task_flops = items.count > 0 ? work.flops : 0,
                           .most_task_flops = 0,
                           .limit = work.flops >= 4 * work.bytes ? AttentionLimit::compute : AttentionLimit::bandwidth,
                           .workspace_bytes = workspace.bytes()};
    if (lanes && rows) e.kernel = "query-lanes and key-rows";
    const double flops_per_pair = 2 * static_cast<double>(call.shape.head_dim + call.shape.value_dim);
    for (std::int64_t b = 0; b < call.shape.batch; ++b) add_tasks(e, call, b, items.share.split, flops_per_pair);
    return e;
}

std::string AttentionExplanation::text() const {
    char line[1024];
    const double mean = tasks > 0 ? flops / static_cast<double>(tasks) : 0;
    std::snprintf(line, sizeof line,
                  "kernel %s on %s: %lld rows a block, %lld keys a block\n"
                  "%lld tasks on %d workers, keys in %lld chunks%s\n"
                  "a task: %.3f to %.3f MFLOP, %.3f in the mean\n"
                  "%.3f GFLOP, %.3f MB, %.1f FLOP a byte: limited by %s; workspace %.1f KiB\n",
                  kernel.c_str(), std::string(isa_name(isa)).c_str(), static_cast<long long>(query_block),
                  static_cast<long long>(key_block), static_cast<long long>(tasks), workers, static_cast<long long>(key_chunks),
                  keys_split ? ", each a task" : (key_chunks > 1 ? ", in one task" : ""), least_task_flops * 1e-6,
                  most_task_flops * 1e-6, mean * 1e-6, flops * 1e-9, bytes * 1e-6, bytes > 0 ? flops / bytes : 0,
                  limit == AttentionLimit::compute ? "arithmetic" : "bandwidth", static_cast<double>(workspace_bytes) / 1024);
    return (variants.empty() ? "" : "fused: " + variants + "\n") + line;
}

}  // namespace headwise
