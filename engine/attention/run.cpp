#include "engine/attention/run.hpp"

#include <algorithm>
#include <atomic>
#include <span>

#include "engine/attention/block.hpp"
#include "engine/attention/block_numbers.hpp"
#include "engine/attention/finish.hpp"
#include "engine/attention/key_sums.hpp"
#include "engine/attention/padding.hpp"
#include "engine/attention/task_work.hpp"
#include "engine/runtime/parallel.hpp"

namespace headwise {
namespace {

/// What all items of one part of a call share, and the work of one item.
class AttentionRun {
  public:
    AttentionRun(const AttentionCall& call, const AttentionWorkspace& workspace, Part part)
        : call_(call),
          arguments_(call.arguments),
          workspace_(workspace),
          numbers_(call, workspace, part),
          finish_(call, workspace, numbers_) {}

    /// Computes all chunks of one block, in index order.
    void run_block(int worker, std::int64_t item, std::int64_t upcoming) const {
        BlockPlace own;
        const std::span<const BlockPlace> places = numbers_.find(worker, item, 1, own).places;
        const PreparedBlock prepared(call_, workspace_, worker, places, workspace_.state(worker, 0));
        AttentionBlock block = prepared.block;
        fetch_ahead(block, worker, places, upcoming);
        const SequenceSchedule& schedule = places[0].schedule;
        const KeySums sums(workspace_, worker, *schedule.kernel, prepared.keys);
        const Chunks seen = chunks_seen(schedule, block);
        const auto keys_of = [&](std::int64_t chunk) {
            return ChunkKeys{
                schedule.chunk_begin(chunk), schedule.chunk_end(chunk),
                chunk + 1 < seen.end ? sums.first_end(schedule.chunk_begin(chunk + 1), schedule.chunk_end(chunk + 1)) : 0};
        };
        sums.attend(block, keys_of(seen.begin));
        block.fetch_count = 0;
        for (std::int64_t chunk = seen.begin + 1; chunk < seen.end; ++chunk) {
            AttentionBlock part = with_state(block, workspace_.state(worker, 1));
            part.begun = true;
            sums.attend(part, keys_of(chunk));
            schedule.kernel->merge(block, part);
        }
        finish_.finish(worker, places, prepared, block);
    }

    /// Computes one chunk of one block. Whoever finishes a block's last chunk merges them all in index order: the same operations
    /// as in run_block().
    void run_chunk(int worker, std::int64_t item) const {
        BlockPlace own;
        const auto [places, chunk] = numbers_.find(worker, item, 0, own);
        const PreparedBlock prepared(call_, workspace_, worker, places, partial(item));
        const SequenceSchedule& schedule = places[0].schedule;
        const AttentionKernel& kernel = *schedule.kernel;
        AttentionBlock block = prepared.block;
        const Chunks seen = chunks_seen(schedule, block);
        if (chunk >= seen.begin && chunk < seen.end)
            KeySums(workspace_, worker, kernel, prepared.keys)
                .attend(block, {schedule.chunk_begin(chunk), schedule.chunk_end(chunk), 0});

        const std::int64_t first = item - chunk;
        std::atomic_ref<std::int32_t> finished(*workspace_.finished(first));
        if (finished.fetch_add(1, std::memory_order_acq_rel) + 1 < schedule.chunks) return;
        block = with_state(block, partial(first + seen.begin));
        for (std::int64_t i = seen.begin + 1; i < seen.end; ++i) kernel.merge(block, with_state(block, partial(first + i)));
        list_outs(worker, places);
        finish_.finish(worker, places, prepared, block);
    }

    /// Computes all blocks of one key/value head of a sequence, or of the sequences that share a common prefix.
    void run_head(int worker, std::int64_t item, std::int64_t upcoming) const {
        const BlockNumbers::Blocks blocks = numbers_.of_head(item);
        const std::int64_t after = upcoming == runtime::kUnknownItem ? runtime::kUnknownItem : numbers_.of_head(upcoming).begin;
        for (std::int64_t block = blocks.begin; block < blocks.end; ++block)
            run_block(worker, block, block + 1 < blocks.end ? block + 1 : after);
    }

    /// The description of an item in a record.
    runtime::TaskLabel label(AttentionItem kind, std::int64_t item) const {
        BlockPlace place;
        const std::int64_t block = kind == AttentionItem::head ? numbers_.of_head(item).begin : item;
        const std::int64_t chunk = numbers_.find_rows(place, block, kind == AttentionItem::chunk ? 0 : 1);
        if (kind == AttentionItem::head) {
            place.row = 0;
            place.rows = place.schedule.rows;
        }
        const bool split = kind == AttentionItem::chunk;
        return numbers_.part() == Part::shared ? shared_task_label(call_, place, split, chunk)
                                               : task_label(call_, place, split, chunk);
    }

  private:
    struct Chunks {
        std::int64_t begin, end;  ///< at least one
    };

    BlockState partial(std::int64_t item) const {
        return numbers_.part() == Part::shared ? workspace_.shared_partial(item) : workspace_.partial(item);
    }

    /// The chunks with keys that some row of the block may see by its position; at least one chunk, even if it has no such key.
    static Chunks chunks_seen(const SequenceSchedule& s, const AttentionBlock& block) {
        const std::int64_t begin = (block.key_begin ? block.key_begin[0] : s.key_begin) - s.key_begin;
        const std::int64_t end = (block.key_end ? block.key_end[block.rows - 1] : s.key_end) - s.key_begin;
        const std::int64_t size = s.key_chunk, first = std::min(begin / size, s.chunks - 1);
        return {first, std::max((end + size - 1) / size, first + 1)};
    }

    /// Lists where the rows of the result begin, in outs(). Returns the list's end.
    float** list_outs(int worker, std::span<const BlockPlace> places) const {
        float** end = workspace_.outs(worker);
        for (const BlockPlace& place : places) end = list_rows(arguments_.out, place, call_.group, end);
        return end;
    }

    /// Lists what the worker needs after this block: the rows of the result, then the next block's queries and first keys. In short
    /// sequences a tenth of the time is lost if these come from memory or another core only when they are needed.
    void fetch_ahead(AttentionBlock& block, int worker, std::span<const BlockPlace> places, std::int64_t upcoming) const {
        const auto** end = const_cast<const float**>(list_outs(worker, places));
        block.fetch = workspace_.outs(worker);
        if (upcoming != runtime::kUnknownItem && !arguments_.page_table.data && numbers_.part() == Part::own) {
            BlockPlace next;
            numbers_.find_rows(next, upcoming, 1);
            end = list_rows(arguments_.query, next, call_.group, end);
            const KeyValueRows kv = key_value_rows(arguments_, next);
            const std::int64_t first = next.schedule.key_begin;
            for (std::int64_t i = first; i < std::min(first + AttentionWorkspace::kFetchedKeys, kv.count); ++i)
                *end++ = kv.keys + i * kv.key_stride;
        }
        block.fetch_count = end - block.fetch;
    }

    const AttentionCall& call_;
    const AttentionArguments& arguments_;
    const AttentionWorkspace& workspace_;
    const BlockNumbers numbers_;
    const BlockFinish finish_;
};

/// Runs the items of one part.
void run_items(const char* operation, const AttentionRun& run, const AttentionItems& items, const AttentionWorkspace& workspace) {
    const AttentionItem kind = items.share.item;
    const auto label = [&](std::int64_t item) { return run.label(kind, item); };
    const auto for_each = [&](const auto& body) {
        runtime::for_each_item(items.share.workers, items.count, body, operation, label);
    };
    if (kind == AttentionItem::chunk) {
        std::fill_n(workspace.finished(0), items.count, 0);
        for_each([&](int worker, std::int64_t item) { run.run_chunk(worker, item); });
    } else if (kind == AttentionItem::head) {
        for_each([&](int worker, std::int64_t item, std::int64_t upcoming) { run.run_head(worker, item, upcoming); });
    } else {
        for_each([&](int worker, std::int64_t item, std::int64_t upcoming) { run.run_block(worker, item, upcoming); });
    }
}

}  // namespace

void run_attention(const AttentionCall& call, const CallItems& items, const AttentionWorkspace& workspace) {
    if (items.shared.count > 0)
        run_items("attention, shared keys", AttentionRun(call, workspace, Part::shared), items.shared, workspace);
    const AttentionRun run(call, workspace, Part::own);
    run_items("attention", run, items.own, workspace);
    clear_padding(call.arguments, call.options);
}

}  // namespace headwise
