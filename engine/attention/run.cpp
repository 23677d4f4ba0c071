#include "engine/attention/run.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>

#include "engine/attention/block.hpp"
#include "engine/attention/denominator.hpp"
#include "engine/attention/key_sums.hpp"
#include "engine/attention/padding.hpp"
#include "engine/attention/task_work.hpp"
#include "engine/runtime/parallel.hpp"

namespace headwise {
namespace {

/// Which keys the items are about: those that sequences share, of which finish() keeps a result for each row in `out`; or the
/// sequences' own, of which it makes the final one.
enum class Part { shared, own };

/// What the items of one part of a call share, and the work of one item.
class AttentionRun {
  public:
    AttentionRun(const AttentionCall& call, const AttentionWorkspace& workspace, Part part)
        : call_(call), arguments_(call.arguments), workspace_(workspace), part_(part) {
        if (part == Part::shared)
            shared_ = schedule_shared(call.shape, workspace.first_shared_row()[call.shape.batch], arguments_.shared_keys,
                                      call.kernels.attention);
    }

    /// All chunks of one block in index order.
    void run_block(int worker, std::int64_t item, std::int64_t upcoming) const {
        BlockPlace own;
        const std::span<const BlockPlace> places = find(worker, item, 1, own).places;
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
        finish(worker, places, prepared, block);
    }

    /// One chunk of one block. Whoever finishes a block's last chunk merges them all, in index order: the same operations as in
    /// run_block().
    void run_chunk(int worker, std::int64_t item) const {
        BlockPlace own;
        const auto [places, chunk] = find(worker, item, 0, own);
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
        finish(worker, places, prepared, block);
    }

    /// All blocks of one key/value head of a sequence, or of the sequences that share keys.
    void run_head(int worker, std::int64_t item, std::int64_t upcoming) const {
        const Blocks blocks = blocks_of_head(item);
        const std::int64_t after = upcoming == runtime::kUnknownItem ? runtime::kUnknownItem : blocks_of_head(upcoming).begin;
        for (std::int64_t block = blocks.begin; block < blocks.end; ++block)
            run_block(worker, block, block + 1 < blocks.end ? block + 1 : after);
    }

    /// What a record tells of an item.
    runtime::TaskLabel label(AttentionItem kind, std::int64_t item) const {
        BlockPlace place;
        const std::int64_t block = kind == AttentionItem::head ? blocks_of_head(item).begin : item;
        const std::int64_t chunk = find_rows(place, block, kind == AttentionItem::chunk ? 0 : 1);
        if (kind == AttentionItem::head) {
            place.row = 0;
            place.rows = place.schedule.rows;
        }
        const bool split = kind == AttentionItem::chunk;
        return part_ == Part::shared ? shared_task_label(call_, place, split, chunk) : task_label(call_, place, split, chunk);
    }

  private:
    struct Chunks {
        std::int64_t begin, end;  ///< at least one
    };
    struct Item {
        std::span<const BlockPlace> places;
        std::int64_t chunk;
    };

    struct Blocks {
        std::int64_t begin, end;
    };

    Blocks blocks_of_head(std::int64_t head) const {
        if (part_ == Part::shared) return {head * shared_.blocks, (head + 1) * shared_.blocks};
        const SequencePlan& plan = workspace_.sequences()[head / call_.shape.num_kv_heads];
        const std::int64_t begin = plan.first_item + head % call_.shape.num_kv_heads * plan.schedule.blocks;
        return {begin, begin + plan.schedule.blocks};
    }

    /// The places are in the worker's part of the workspace, or there is but one, `own`. With chunks = 0 the items are the chunks
    /// of the blocks.
    Item find(int worker, std::int64_t item, std::int64_t chunks, BlockPlace& own) const {
        if (part_ == Part::shared) return find_shared(workspace_.places(worker), item, chunks);
        const std::int64_t chunk = find_own(own, item, chunks);
        return {{&own, 1}, chunk};
    }

    /// Blocks are numbered sequence by sequence, head by head, within a head from the last: under a causal mask the costliest
    /// first, and neighbours in time share their keys and values. Returns the chunk.
    std::int64_t find_own(BlockPlace& place, std::int64_t item, std::int64_t chunks) const {
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

    /// Blocks of shared keys are numbered head by head; their rows are those of all sequences that share, one behind the other.
    Item find_shared(BlockPlace* places, std::int64_t item, std::int64_t chunks) const {
        BlockPlace all;
        const std::int64_t chunk = find_rows(all, item, chunks), end = all.row + all.rows;
        const std::int64_t* first_row = workspace_.first_shared_row();
        std::size_t count = 0;
        for (std::int64_t b = all.b; first_row[b] < end; ++b) {
            const std::int64_t begin = std::max(all.row, first_row[b]), last = std::min(end, first_row[b + 1]);
            if (begin == last) continue;
            places[count++] = {.b = b,
                               .sequence = sequence_at(arguments_, b),
                               .schedule = shared_,
                               .kv_head = all.kv_head,
                               .row = begin - first_row[b],
                               .rows = last - begin};
        }
        return {{places, count}, chunk};
    }

    /// The rows of an item, in blocks of shared keys as if all were of the sequence of the first. Returns the chunk.
    std::int64_t find_rows(BlockPlace& place, std::int64_t item, std::int64_t chunks) const {
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

    BlockState partial(std::int64_t item) const {
        return part_ == Part::shared ? workspace_.shared_partial(item) : workspace_.partial(item);
    }

    /// Chunks with keys that some row of the block may see by its position, or one without.
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

    /// Names what the worker needs when it has computed this block: where the result goes, then the next block's queries and first
    /// keys. In short sequences these are a tenth of the time when they come from memory or another core only once they are needed.
    void fetch_ahead(AttentionBlock& block, int worker, std::span<const BlockPlace> places, std::int64_t upcoming) const {
        const auto** end = const_cast<const float**>(list_outs(worker, places));
        block.fetch = workspace_.outs(worker);
        if (upcoming != runtime::kUnknownItem && !arguments_.page_table.data && part_ == Part::own) {
            BlockPlace next;
            find_own(next, upcoming, 1);
            end = list_rows(arguments_.query, next, call_.group, end);
            const KeyValueRows kv = key_value_rows(arguments_, next);
            const std::int64_t first = next.schedule.key_begin;
            for (std::int64_t i = first; i < std::min(first + AttentionWorkspace::kFetchedKeys, kv.count); ++i)
                *end++ = kv.keys + i * kv.key_stride;
        }
        block.fetch_count = end - block.fetch;
    }

    float& log_sum_exp(std::int64_t b, std::int64_t h, std::int64_t i) const {
        const TensorView<float, 3>& view = arguments_.log_sum_exp;
        return view.data[b * view.stride[0] + h * view.stride[1] + i * view.stride[2]];
    }

    /// Writes what has become of the block's rows to outs().
    void finish(int worker, std::span<const BlockPlace> places, const PreparedBlock& prepared, const AttentionBlock& block) const {
        if (part_ == Part::shared)
            keep(worker, places, block);
        else if (places[0].schedule.key_begin > 0)
            finish_kept(worker, places[0], prepared, block);
        else
            finish(worker, places[0], prepared, block);
    }

    /// The weighted mean of the shared values as each row sees them goes into `out`, where the row's own part finds it.
    void keep(int worker, std::span<const BlockPlace> places, const AttentionBlock& block) const {
        float* factors = workspace_.floats(worker, RowFloats::factor);
        std::int64_t i = 0;
        for (const BlockPlace& place : places) {
            SharedRow* kept = workspace_.shared_rows(place.b, place.kv_head) + place.row;
            for (const std::int64_t end = i + place.rows; i < end; ++i) {
                *kept++ = {block.row_max[i], block.row_sum[i]};
                // Without weights the row is 0, or NaN where an allowed value is: it is multiplied by 0 in the end.
                factors[i] = block.row_sum[i] != 0 ? 1 / block.row_sum[i]
                                                   : (sees_any(*shared_.kernel, block, i, 0, shared_.key_end) ? 1 : kSeesNothing);
            }
        }
        shared_.kernel->finish(block, workspace_.outs(worker), factors);
    }

    /// Divides by the sum of weights, sink included, and writes the rows.
    void finish(int worker, const BlockPlace& place, const PreparedBlock& prepared, const AttentionBlock& block) const {
        const SequenceSchedule& s = place.schedule;
        float* factors = workspace_.floats(worker, RowFloats::factor);
        const bool plain = arguments_.sinks.empty() && !arguments_.log_sum_exp.data;
        for (std::int64_t i = 0; i < place.rows; ++i) {
            if (plain && block.row_sum[i] > 0) {
                factors[i] = 1 / block.row_sum[i];
                continue;
            }
            const std::int64_t head = prepared.rows.heads[i];
            Denominator d{.factor = kSeesNothing, .log2 = -std::numeric_limits<double>::infinity()};
            if (sees_any(*s.kernel, block, i, s.key_begin, s.key_end))
                d = denominator(block.row_max[i], block.row_sum[i], sink_of(arguments_, head),
                                arguments_.log_sum_exp.data != nullptr);
            else if (const auto sink = sink_of(arguments_, head))
                d.log2 = *sink;
            factors[i] = d.factor;
            write_log_sum_exp(place, prepared, i, d.log2);
        }
        s.kernel->finish(block, workspace_.outs(worker), factors);
    }

    /// The same where the rows have been kept: adds what `out` holds of the shared keys.
    void finish_kept(int worker, const BlockPlace& place, const PreparedBlock& prepared, const AttentionBlock& block) const {
        const SharedRow* kept = workspace_.shared_rows(place.b, place.kv_head) + place.row;
        float* factors = workspace_.floats(worker, RowFloats::factor);
        float* weights = workspace_.floats(worker, RowFloats::shared_weight);
        // Neither the pointers to the queries nor the second state are in use any more.
        float** own = workspace_.rows<float>(worker, RowPointers::queries);
        float* memory = workspace_.state(worker, 1).accumulators;
        for (std::int64_t i = 0; i < place.rows; ++i) {
            const CommonDenominator d = common_denominator(block, place, i, prepared.rows.heads[i], kept[i]);
            factors[i] = d.factor;
            weights[i] = d.weight;
            own[i] = memory + i * block.value_dim;
            write_log_sum_exp(place, prepared, i, d.log2);
        }
        place.schedule.kernel->finish(block, own, factors);
        float* const* rows = workspace_.outs(worker);
        for (std::int64_t i = 0; i < place.rows; ++i)
            call_.kernels.merge.blend(1, own[i], weights[i], rows[i], rows[i], block.value_dim);
    }

    void write_log_sum_exp(const BlockPlace& place, const PreparedBlock& prepared, std::int64_t row, double log2) const {
        if (!arguments_.log_sum_exp.data) return;
        log_sum_exp(place.sequence.query_batch, prepared.rows.heads[row], place.sequence.first_query + prepared.rows.queries[row]) =
            static_cast<float>(log2 * std::numbers::ln2);
    }

    struct CommonDenominator {
        float factor, weight;  ///< what the row's accumulators are multiplied with, and what its shared keys have come to
        double log2;
    };

    /// Of a row's own keys and of the shared ones, either of which it may see nothing of.
    CommonDenominator common_denominator(const AttentionBlock& block, const BlockPlace& place, std::int64_t row, std::int64_t head,
                                         const SharedRow& shared) const {
        const SequenceSchedule& s = place.schedule;
        const double sink = sink_of(arguments_, head).value_or(-std::numeric_limits<double>::infinity());
        const bool sees_own = sees_any(*s.kernel, block, row, s.key_begin, s.key_end);
        if (!sees_own && shared.sum == 0 && !sees_by_masks(*s.kernel, block, row, 0, s.key_begin)) return {kSeesNothing, 0, sink};
        // All logits are -Inf: the largest ones say nothing.
        if (block.row_sum[row] == 0 && shared.sum == 0 && std::isfinite(sink)) return {sees_own ? 0 : kSeesNothing, 0, sink};
        const double max = block.row_max[row], shared_max = shared.max, reference = std::max(std::max(max, shared_max), sink);
        const double own = std::exp2(max - reference), others = shared.sum * std::exp2(shared_max - reference);
        const double total = block.row_sum[row] * own + others + std::exp2(sink - reference);
        return {sees_own ? factor_of(own / total, block.row_sum[row]) : kSeesNothing, factor_of(others / total, 1),
                reference + std::log2(total)};
    }

    const AttentionCall& call_;
    const AttentionArguments& arguments_;
    const AttentionWorkspace& workspace_;
    const Part part_;
    SequenceSchedule shared_{};
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
