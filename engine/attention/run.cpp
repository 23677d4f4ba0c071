#include "engine/attention/run.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/attention/block.hpp"
#include "engine/runtime/parallel.hpp"

namespace headwise {
namespace {

/// What the items of one call share, and the work of one item.
class AttentionRun {
  public:
    AttentionRun(const AttentionCall& call, const AttentionWorkspace& workspace)
        : call_(call), arguments_(call.arguments), workspace_(workspace), group_(call.shape.num_heads / call.shape.num_kv_heads) {}

    /// All chunks of one block in index order.
    void run_block(int worker, std::int64_t item, std::int64_t upcoming) const {
        const BlockPlace place = place_of(item, 1).place;
        const PreparedBlock prepared(call_, workspace_, worker, place, workspace_.state(worker, 0));
        AttentionBlock block = prepared.block;
        fetch_ahead(block, worker, place, upcoming);
        const SequenceSchedule& schedule = place.schedule;
        const AttentionKernel& kernel = *schedule.kernel;
        const Chunks seen = chunks_seen(place, block);
        const auto chunk_end = [&](std::int64_t chunk) {
            return chunk < seen.end ? std::min((chunk + 1) * schedule.key_chunk, place.sequence.keys) : 0;
        };
        block.next_key_end = chunk_end(seen.begin + 1);
        kernel.attend(block, prepared.keys, seen.begin * schedule.key_chunk, chunk_end(seen.begin));
        block.fetch_count = 0;
        for (std::int64_t chunk = seen.begin + 1; chunk < seen.end; ++chunk) {
            AttentionBlock part = with_state(block, workspace_.state(worker, 1));
            part.begun = true;
            part.next_key_end = chunk_end(chunk + 1);
            kernel.attend(part, prepared.keys, chunk * schedule.key_chunk, chunk_end(chunk));
            kernel.merge(block, part);
        }
        finish(worker, place, prepared, block);
    }

    /// One chunk of one block. Whoever finishes a block's last chunk merges them all, in index order: the same operations as in
    /// run_block().
    void run_chunk(int worker, std::int64_t item) const {
        const auto [place, chunk] = place_of(item, 0);
        const PreparedBlock prepared(call_, workspace_, worker, place, workspace_.partial(item));
        const SequenceSchedule& schedule = place.schedule;
        const AttentionKernel& kernel = *schedule.kernel;
        AttentionBlock block = prepared.block;
        const Chunks seen = chunks_seen(place, block);
        if (chunk >= seen.begin && chunk < seen.end)
            kernel.attend(block, prepared.keys, chunk * schedule.key_chunk,
                          std::min((chunk + 1) * schedule.key_chunk, place.sequence.keys));

        const std::int64_t first = item - chunk;
        std::atomic_ref<std::int32_t> finished(*workspace_.finished(first));
        if (finished.fetch_add(1, std::memory_order_acq_rel) + 1 < schedule.chunks) return;
        block = with_state(block, workspace_.partial(first + seen.begin));
        for (std::int64_t i = seen.begin + 1; i < seen.end; ++i)
            kernel.merge(block, with_state(block, workspace_.partial(first + i)));
        finish(worker, place, prepared, block);
    }

    /// 0 and -Inf for the rows of a padded tensor that no sequence has.
    void clear_padding() const {
        if (arguments_.query_lengths.empty()) return;
        const TensorView<float, 4>& out = arguments_.out;
        for (std::int64_t b = 0; b < out.extent[0]; ++b)
            for (std::int64_t h = 0; h < out.extent[1]; ++h)
                for (std::int64_t i = arguments_.query_lengths[static_cast<std::size_t>(b)]; i < out.extent[2]; ++i) {
                    std::fill_n(out.data + b * out.stride[0] + h * out.stride[1] + i * out.stride[2], out.extent[3], 0.0f);
                    if (arguments_.log_sum_exp.data) log_sum_exp(b, h, i) = -std::numeric_limits<float>::infinity();
                }
    }

  private:
    struct Chunks {
        std::int64_t begin, end;  ///< at least one
    };
    struct ItemPlace {
        BlockPlace place;
        std::int64_t chunk;
    };

    /// Blocks are numbered sequence by sequence, head by head, within a head from the last: under a causal mask the costliest
    /// first, and neighbours in time share their keys and values. With chunks = 0 the items are the chunks of these blocks.
    ItemPlace place_of(std::int64_t item, std::int64_t chunks) const {
        const std::int64_t* first_item = workspace_.first_item();
        const std::int64_t* found = std::upper_bound(first_item, first_item + call_.shape.batch + 1, item) - 1;
        const std::int64_t b = workspace_.order()[found - first_item];
        ItemPlace result{
            .place = {.b = b, .sequence = sequence_at(arguments_, b), .schedule = {}, .kv_head = 0, .row = 0, .rows = 0},
            .chunk = 0};
        BlockPlace& place = result.place;
        place.schedule = schedule_sequence(call_.shape, place.sequence.queries, place.sequence.keys, call_.kernels.attention);
        if (chunks == 0) chunks = place.schedule.chunks;
        const std::int64_t index = (item - *found) / chunks;
        result.chunk = (item - *found) % chunks;
        place.kv_head = index / place.schedule.blocks;
        place.row = (place.schedule.blocks - 1 - index % place.schedule.blocks) * place.schedule.block_rows;
        place.rows = std::min(place.schedule.block_rows, place.schedule.rows - place.row);
        return result;
    }

    /// Chunks with keys that some row of the block may see by its position, or one without.
    static Chunks chunks_seen(const BlockPlace& place, const AttentionBlock& block) {
        const std::int64_t begin = block.key_begin ? block.key_begin[0] : 0;
        const std::int64_t end = block.key_end ? block.key_end[block.rows - 1] : place.sequence.keys;
        const std::int64_t size = place.schedule.key_chunk, first = std::min(begin / size, place.schedule.chunks - 1);
        return {first, std::max((end + size - 1) / size, first + 1)};
    }

    /// Names what the worker needs when it has computed this block: where the result goes, then the next block's queries and first
    /// keys. In short sequences these are a tenth of the time when they come from memory or another core only once they are needed.
    void fetch_ahead(AttentionBlock& block, int worker, const BlockPlace& place, std::int64_t upcoming) const {
        const float** fetch = workspace_.fetch(worker);
        const TensorView<const float, 4> out(arguments_.out.data, arguments_.out.extent, arguments_.out.stride);
        const float** end = list_rows(out, place, group_, fetch);
        if (upcoming != runtime::kUnknownItem && !arguments_.page_table.data) {
            const BlockPlace next = place_of(upcoming, 1).place;
            end = list_rows(arguments_.query, next, group_, end);
            const KeyValueRows kv = key_value_rows(arguments_, next);
            for (std::int64_t i = 0; i < std::min(AttentionWorkspace::kFetchedKeys, kv.count); ++i)
                *end++ = kv.keys + i * kv.key_stride;
        }
        block.fetch = fetch;
        block.fetch_count = end - fetch;
    }

    float& log_sum_exp(std::int64_t b, std::int64_t h, std::int64_t i) const {
        const TensorView<float, 3>& view = arguments_.log_sum_exp;
        return view.data[b * view.stride[0] + h * view.stride[1] + i * view.stride[2]];
    }

    /// Divides by the sum of weights, sink included, and writes the rows.
    void finish(int worker, const BlockPlace& place, const PreparedBlock& prepared, const AttentionBlock& block) const {
        const AttentionKernel& kernel = *place.schedule.kernel;
        float* factors = workspace_.floats(worker, RowFloats::factor);
        for (std::int64_t i = 0; i < place.rows; ++i) {
            const std::int64_t query = prepared.rows.queries[i], head = prepared.rows.heads[i];
            Denominator d{.factor = 0, .log2 = -std::numeric_limits<double>::infinity()};
            if (sees_any(kernel, block, place, i))
                d = denominator(block, i, head);
            else if (!arguments_.sinks.empty())
                d.log2 = sink_of(head);
            factors[i] = d.factor;
            if (arguments_.log_sum_exp.data)
                log_sum_exp(place.sequence.query_batch, head, place.sequence.first_query + query) =
                    static_cast<float>(d.log2 * std::numbers::ln2);
        }
        float** rows = workspace_.rows<float>(worker, RowPointers::outs);
        list_rows(arguments_.out, place, group_, rows);
        kernel.finish(block, rows, factors);
    }

    double sink_of(std::int64_t head) const {
        return static_cast<double>(arguments_.sinks[static_cast<std::size_t>(head)]) * std::numbers::log2e;
    }

    struct Denominator {
        float factor;  ///< what the row's accumulators are multiplied with
        double log2;   ///< of the softmax's denominator
    };

    Denominator denominator(const AttentionBlock& block, std::int64_t row, std::int64_t head) const {
        const double max = block.row_max[row], sum = block.row_sum[row];
        if (arguments_.sinks.empty()) return {1 / block.row_sum[row], arguments_.log_sum_exp.data ? max + std::log2(sum) : 0};
        const double sink = sink_of(head), reference = std::max(max, sink), own = std::exp2(max - reference);
        const double total = sum * own + std::exp2(sink - reference);
        return {static_cast<float>(own / total), reference + std::log2(total)};
    }

    /// Whether the row may see any key. A sum of 0 can also be that of keys whose logits are -Inf, to which the formula gives NaN.
    bool sees_any(const AttentionKernel& kernel, const AttentionBlock& block, const BlockPlace& place, std::int64_t row) const {
        if (!(block.row_sum[row] == 0)) return true;
        const std::int64_t begin = block.key_begin ? block.key_begin[row] : 0;
        const std::int64_t end = block.key_end ? block.key_end[row] : place.sequence.keys;
        if (begin >= end) return false;
        return !block.rules || kernel.sees_any(*block.rules, row, begin, end);
    }

    const AttentionCall& call_;
    const AttentionArguments& arguments_;
    const AttentionWorkspace& workspace_;
    const std::int64_t group_;
};

}  // namespace

void run_attention(const AttentionCall& call, const AttentionItems& items, const AttentionWorkspace& workspace) {
    const AttentionRun run(call, workspace);
    if (items.share.split) {
        std::fill_n(workspace.finished(0), items.count, 0);
        runtime::for_each_item(items.share.workers, items.count,
                               [&](int worker, std::int64_t item) { run.run_chunk(worker, item); });
    } else {
        runtime::for_each_item(items.share.workers, items.count, [&](int worker, std::int64_t item, std::int64_t upcoming) {
            run.run_block(worker, item, upcoming);
        });
    }
    run.clear_padding();
}

}  // namespace headwise
