#include "engine/attention/items.hpp"

#include <algorithm>

#include "engine/contract/sequences.hpp"

namespace headwise {

SequenceSchedule schedule_of(const AttentionCall& call, const Sequence& sequence, std::int64_t b) {
    return schedule_sequence(call.shape, sequence.queries, sequence.keys, call.kernels.attention,
                             shared_keys_of(call.options, call.arguments, sequence, b));
}

CallWork count_work(const AttentionCall& call) {
    const AttentionShape& shape = call.shape;
    double pairs = 0, queries = 0, keys = 0;
    CallWork work{};
    AttentionWork& own = work.own;
    std::int64_t shared_rows = 0;
    for (std::int64_t b = 0; b < shape.batch; ++b) {
        const Sequence sequence = sequence_at(call.arguments, b);
        const SequenceSchedule s = schedule_of(call, sequence, b);
        if (s.blocks > 0) own.heads += shape.num_kv_heads;
        own.blocks += shape.num_kv_heads * s.blocks;
        own.chunks += shape.num_kv_heads * s.blocks * s.chunks;
        if (s.blocks > 0) own.most_chunks = std::max(own.most_chunks, s.chunks);
        if (s.key_begin > 0) shared_rows += s.rows;
        pairs += position_rules(call.options, call.arguments, sequence, b).pairs(sequence.queries) -
                 static_cast<double>(s.key_begin) * static_cast<double>(sequence.queries);
        queries += static_cast<double>(sequence.queries);
        keys += static_cast<double>(s.key_end - s.key_begin);
    }
    const auto heads = static_cast<double>(shape.num_heads), kv_heads = static_cast<double>(shape.num_kv_heads);
    const auto dims = static_cast<double>(shape.head_dim + shape.value_dim);
    own.flops = 2 * dims * heads * pairs;
    own.bytes = sizeof(float) * dims * (heads * queries + kv_heads * keys);
    if (shared_rows == 0) return work;
    const SequenceSchedule s = schedule_shared(shape, shared_rows, call.arguments.shared_keys, call.kernels.attention);
    const auto shared_keys = static_cast<double>(s.key_end);
    work.shared = {.flops = 2 * dims * kv_heads * static_cast<double>(shared_rows) * shared_keys,
                   .bytes = sizeof(float) * dims * kv_heads * shared_keys,
                   .heads = shape.num_kv_heads,
                   .blocks = shape.num_kv_heads * s.blocks,
                   .chunks = shape.num_kv_heads * s.blocks * s.chunks,
                   .most_chunks = s.chunks};
    return work;
}

namespace {

AttentionItems share_items(const AttentionWork& work, AttentionSchedule schedule, std::int64_t partial_states, int max_workers) {
    WorkShare share = share_work(work.flops, work.bytes, work.blocks, work.most_chunks, max_workers);
    if (schedule == AttentionSchedule::heads)
        share.item = AttentionItem::head;
    else if (schedule == AttentionSchedule::heads_queries || work.chunks > partial_states)
        share.item = AttentionItem::block;
    const std::int64_t count = share.item == AttentionItem::head    ? work.heads
                               : share.item == AttentionItem::block ? work.blocks
                                                                    : work.chunks;
    share.workers = static_cast<int>(std::clamp<std::int64_t>(share.workers, 1, std::max<std::int64_t>(count, 1)));
    return {.count = count, .share = share};
}

}  // namespace

CallItems share_items(const CallWork& work, AttentionSchedule schedule, const PartialStates& partial_states, int max_workers) {
    return {.shared = share_items(work.shared, schedule, partial_states.shared, max_workers),
            .own = share_items(work.own, schedule, partial_states.own, max_workers)};
}

void list_items(const AttentionCall& call, const CallItems& items, const AttentionWorkspace& workspace) {
    const AttentionShape& shape = call.shape;
    SequencePlan* plans = workspace.sequences();
    for (std::int64_t b = 0; b < shape.batch; ++b) {
        const Sequence sequence = sequence_at(call.arguments, b);
        plans[b] = {.b = b, .sequence = sequence, .schedule = schedule_of(call, sequence, b), .first_item = 0};
    }
    if (items.shared.count > 0) {
        std::int64_t* first_row = workspace.first_shared_row();
        first_row[0] = 0;
        for (std::int64_t b = 0; b < shape.batch; ++b)
            first_row[b + 1] = first_row[b] + (plans[b].schedule.key_begin > 0 ? plans[b].schedule.rows : 0);
    }
    // A block of the longest sequence costs most. Sequences without rows come last and have no items. Equal ones keep their order,
    // next to their neighbours in memory.
    const AttentionArguments& a = call.arguments;
    if (!a.query_lengths.empty() || !a.cumulative_query_lengths.empty() || !a.key_lengths.empty() ||
        !a.cumulative_key_lengths.empty())
        std::sort(plans, plans + shape.batch, [](const SequencePlan& x, const SequencePlan& y) {
            const auto cost = [](const SequenceSchedule& s) { return s.blocks > 0 ? s.key_end - s.key_begin : -1; };
            const std::int64_t x_cost = cost(x.schedule), y_cost = cost(y.schedule);
            return x_cost != y_cost ? x_cost > y_cost : x.b < y.b;
        });
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < shape.batch; ++i) {
        const SequenceSchedule& s = plans[i].schedule;
        plans[i].first_item = count;
        count += shape.num_kv_heads * s.blocks * (items.own.share.item == AttentionItem::chunk ? s.chunks : 1);
    }
    plans[shape.batch].first_item = count;
}

}  // namespace headwise
