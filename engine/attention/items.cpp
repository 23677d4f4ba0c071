#include "engine/attention/items.hpp"

#include <algorithm>

#include "engine/attention/sequences.hpp"

namespace headwise {

AttentionWork count_work(const AttentionCall& call) {
    const AttentionShape& shape = call.shape;
    AttentionWork work{.flops = 0, .bytes = 0, .blocks = 0, .chunks = 0, .most_chunks = 1};
    double pairs = 0, queries = 0, keys = 0;
    for (std::int64_t b = 0; b < shape.batch; ++b) {
        const Sequence sequence = sequence_at(call.arguments, b);
        const SequenceSchedule s = schedule_sequence(shape, sequence.queries, sequence.keys, call.kernels.attention);
        work.blocks += shape.num_kv_heads * s.blocks;
        work.chunks += shape.num_kv_heads * s.blocks * s.chunks;
        if (s.blocks > 0) work.most_chunks = std::max(work.most_chunks, s.chunks);
        pairs += position_rules(call.options, call.arguments, sequence, b).pairs(sequence.queries);
        queries += static_cast<double>(sequence.queries);
        keys += static_cast<double>(sequence.keys);
    }
    const auto heads = static_cast<double>(shape.num_heads), kv_heads = static_cast<double>(shape.num_kv_heads);
    const auto dims = static_cast<double>(shape.head_dim + shape.value_dim);
    work.flops = 2 * dims * heads * pairs;
    work.bytes = sizeof(float) * dims * (heads * queries + kv_heads * keys);
    return work;
}

AttentionItems share_items(const AttentionWork& work, std::int64_t partial_states, int max_workers) {
    AttentionItems items{.count = 0, .share = share_work(work.flops, work.bytes, work.blocks, work.most_chunks, max_workers)};
    if (work.chunks > partial_states) items.share.split = false;
    items.count = items.share.split ? work.chunks : work.blocks;
    items.share.workers =
        static_cast<int>(std::clamp<std::int64_t>(items.share.workers, 1, std::max<std::int64_t>(items.count, 1)));
    return items;
}

void list_items(const AttentionCall& call, const AttentionItems& items, const AttentionWorkspace& workspace) {
    const AttentionShape& shape = call.shape;
    std::int64_t* order = workspace.order();
    std::int64_t* first_item = workspace.first_item();
    for (std::int64_t b = 0; b < shape.batch; ++b) order[b] = b;
    // A block of the longest sequence costs most. Equal ones stay in order, next to their neighbours in memory.
    const auto keys_of = [&](std::int64_t b) { return sequence_at(call.arguments, b).keys; };
    if (!call.arguments.key_lengths.empty() || !call.arguments.cumulative_key_lengths.empty())
        std::sort(order, order + shape.batch, [&](std::int64_t a, std::int64_t b) {
            const std::int64_t x = keys_of(a), y = keys_of(b);
            return x != y ? x > y : a < b;
        });
    first_item[0] = 0;
    for (std::int64_t i = 0; i < shape.batch; ++i) {
        const Sequence sequence = sequence_at(call.arguments, order[i]);
        const SequenceSchedule s = schedule_sequence(shape, sequence.queries, sequence.keys, call.kernels.attention);
        first_item[i + 1] = first_item[i] + shape.num_kv_heads * s.blocks * (items.share.split ? s.chunks : 1);
    }
}

}  // namespace headwise
