#include "engine/attention/block_numbers.hpp"

#include "engine/contract/sequences.hpp"

namespace headwise {

BlockNumbers::BlockNumbers(const AttentionCall& call, const AttentionWorkspace& workspace, Part part)
    : call_(call), workspace_(workspace), part_(part) {
    if (part == Part::shared)
        shared_ = schedule_shared(call.shape, workspace.first_shared_row()[call.shape.batch], call.arguments.shared_keys,
                                  call.kernels.attention);
}

BlockNumbers::Blocks BlockNumbers::of_head(std::int64_t head) const {
    if (part_ == Part::shared) return {head * shared_.blocks, (head + 1) * shared_.blocks};
    const SequencePlan& plan = workspace_.sequences()[head / call_.shape.num_kv_heads];
    const std::int64_t begin = plan.first_item + head % call_.shape.num_kv_heads * plan.schedule.blocks;
    return {begin, begin + plan.schedule.blocks};
}

/// Blocks are numbered sequence by sequence and head by head, within a head from the last. Under a causal mask the most expensive
/// then comes first, and blocks that run at about the same time share keys and values. Returns the chunk.
std::int64_t BlockNumbers::find_own(BlockPlace& place, std::int64_t item, std::int64_t chunks) const {
    const SequencePlan* plans = workspace_.sequences();
    const SequencePlan& plan = *(std::upper_bound(plans, plans + call_.shape.batch + 1, item,
                                                  [](std::int64_t x, const SequencePlan& p) { return x < p.first_item; }) -
                                 1);
    const SequenceSchedule& schedule = plan.schedule;
    std::int64_t index = item - plan.first_item, chunk = 0;
    if (chunks != 1) {
        chunk = index % schedule.chunks;
        index /= schedule.chunks;
    }
    place.b = plan.b;
    place.sequence = plan.sequence;
    place.schedule = schedule;
    place.kv_head = index / schedule.blocks;
    place.row = (schedule.blocks - 1 - index % schedule.blocks) * schedule.block_rows;
    place.rows = std::min(schedule.block_rows, schedule.rows - place.row);
    return chunk;
}

/// Blocks of a common prefix are numbered head by head. Their rows are the rows of all sequences that share it, one after another.
BlockNumbers::Item BlockNumbers::find_shared(BlockPlace* places, std::int64_t item, std::int64_t chunks) const {
    BlockPlace all;
    const std::int64_t chunk = find_rows(all, item, chunks), end = all.row + all.rows;
    const std::int64_t* first_row = workspace_.first_shared_row();
    std::size_t count = 0;
    for (std::int64_t b = all.b; first_row[b] < end; ++b) {
        const std::int64_t begin = std::max(all.row, first_row[b]), last = std::min(end, first_row[b + 1]);
        if (begin == last) continue;
        places[count++] = {.b = b,
                           .sequence = sequence_at(call_.arguments, b),
                           .schedule = shared_,
                           .kv_head = all.kv_head,
                           .row = begin - first_row[b],
                           .rows = last - begin};
    }
    return {{places, count}, chunk};
}

std::int64_t BlockNumbers::find_rows(BlockPlace& place, std::int64_t item, std::int64_t chunks) const {
    if (part_ == Part::own) return find_own(place, item, chunks);
    if (chunks == 0) chunks = shared_.chunks;
    const std::int64_t index = item / chunks;
    const std::int64_t* first_row = workspace_.first_shared_row();
    place.schedule = shared_;
    place.kv_head = index / shared_.blocks;
    place.row = index % shared_.blocks * shared_.block_rows;
    place.rows = std::min(shared_.block_rows, shared_.rows - place.row);
    place.b = std::upper_bound(first_row, first_row + call_.shape.batch + 1, place.row) - first_row - 1;
    return item % chunks;
}

}  // namespace headwise
