#include "engine/attention/run.hpp"

#include <algorithm>
#include <atomic>
#include <numbers>

#include "engine/runtime/parallel.hpp"

namespace headwise {
namespace {

/// What the items of one call share, and the work of one item.
class AttentionRun {
  public:
    AttentionRun(const AttentionCall& call, const AttentionSchedule& schedule, const AttentionWorkspace& workspace)
        : call_(call), schedule_(schedule), kernel_(*schedule.kernel), workspace_(workspace) {}

    /// All chunks of one block in index order.
    void run_block(int worker, std::int64_t index, std::int64_t upcoming) const {
        const Place place = place_of(index);
        AttentionBlock block = prepare(worker, place, workspace_.state(worker, 0));
        const KeyValueRows kv = key_value_rows(place);
        fetch_ahead(block, worker, place, upcoming);
        const std::int64_t chunks = chunks_seen(block);
        block.next_key_end = chunks > 1 ? chunk_end(1) : 0;
        kernel_.attend(block, kv, 0, chunk_end(0));
        block.fetch_count = 0;
        for (std::int64_t chunk = 1; chunk < chunks; ++chunk) {
            AttentionBlock part = with_state(block, workspace_.state(worker, 1));
            part.begun = true;
            part.next_key_end = chunk + 1 < chunks ? chunk_end(chunk + 1) : 0;
            kernel_.attend(part, kv, chunk * schedule_.key_chunk, chunk_end(chunk));
            kernel_.merge(block, part);
        }
        kernel_.finish(block, out_rows(worker, place), call_.shape.key_length);
    }

    /// One chunk of one block. Whoever finishes a block's last chunk merges them all, in index order: the same operations as in
    /// run_block().
    void run_chunk(int worker, std::int64_t item) const {
        const std::int64_t index = item / schedule_.chunks, chunk = item % schedule_.chunks;
        const Place place = place_of(index);
        const BlockState first = workspace_.partial(index * schedule_.chunks);
        AttentionBlock block = prepare(worker, place, workspace_.partial(item));
        kernel_.attend(block, key_value_rows(place), chunk * schedule_.key_chunk, chunk_end(chunk));

        std::atomic_ref<std::int32_t> finished(*workspace_.finished(index));
        if (finished.fetch_add(1, std::memory_order_acq_rel) + 1 < schedule_.chunks) return;
        block = with_state(block, first);
        for (std::int64_t i = 1; i < chunks_seen(block); ++i)
            kernel_.merge(block, with_state(block, workspace_.partial(index * schedule_.chunks + i)));
        kernel_.finish(block, out_rows(worker, place), call_.shape.key_length);
    }

  private:
    /// Which block: rows [row, row + rows) of a key/value head. Row r is query r / group, query head r % group of that head's
    /// group, so that rows that share a lane vector have nearly the same position.
    struct Place {
        std::int64_t batch, kv_head, row, rows;
    };

    /// Blocks are numbered head by head, within a head from the last: under a causal mask the costliest first, and neighbours in
    /// time share their keys and values.
    Place place_of(std::int64_t index) const {
        const std::int64_t block = schedule_.blocks - 1 - index % schedule_.blocks, head = index / schedule_.blocks;
        const std::int64_t row = block * schedule_.block_rows;
        return {head / call_.shape.num_kv_heads, head % call_.shape.num_kv_heads, row,
                std::min(schedule_.block_rows, schedule_.rows - row)};
    }

    KeyValueRows key_value_rows(const Place& place) const {
        const auto& key = call_.key;
        const auto& value = call_.value;
        return {key.data + place.batch * key.stride[0] + place.kv_head * key.stride[1], key.stride[2],
                value.data + place.batch * value.stride[0] + place.kv_head * value.stride[1], value.stride[2]};
    }

    std::int64_t chunk_end(std::int64_t chunk) const { return std::min((chunk + 1) * schedule_.key_chunk, call_.shape.key_length); }

    /// Chunks with keys that the block's last row, which sees most, may see.
    std::int64_t chunks_seen(const AttentionBlock& block) const {
        const std::int64_t keys = block.key_limit ? block.key_limit[block.rows - 1] : call_.shape.key_length;
        return std::min(schedule_.chunks, (keys + schedule_.key_chunk - 1) / schedule_.key_chunk);
    }

    AttentionBlock with_state(AttentionBlock block, const BlockState& state) const {
        block.row_max = state.row_max;
        block.row_sum = state.row_sum;
        block.accumulators = state.accumulators;
        return block;
    }

    /// rows[i] = address of row i's elements in query or out. Returns the end of what it wrote.
    template <class T>
    T** list_rows(const TensorView<T, 4>& view, const Place& place, T** rows) const {
        std::int64_t head = place.row % schedule_.group;
        T* query = view.data + place.batch * view.stride[0] + place.kv_head * schedule_.group * view.stride[1] +
                   place.row / schedule_.group * view.stride[2];
        for (std::int64_t i = 0; i < place.rows; ++i) {
            *rows++ = query + head * view.stride[1];
            if (++head < schedule_.group) continue;
            head = 0;
            query += view.stride[2];
        }
        return rows;
    }

    /// Names what the worker needs when it has computed this block: where the result goes, then the next block's queries and first
    /// keys. In short sequences these are a tenth of the time when they come from memory or another core only once they are needed.
    void fetch_ahead(AttentionBlock& block, int worker, const Place& place, std::int64_t upcoming) const {
        const float** fetch = workspace_.fetch(worker);
        const float** end = list_rows(TensorView<const float, 4>(call_.out.data, call_.out.extent, call_.out.stride), place, fetch);
        if (upcoming != runtime::kUnknownItem) {
            const Place next = place_of(upcoming);
            end = list_rows(call_.query, next, end);
            const KeyValueRows kv = key_value_rows(next);
            const std::int64_t keys = std::min(AttentionWorkspace::kFetchedKeys, call_.shape.key_length);
            for (std::int64_t i = 0; i < keys; ++i) *end++ = kv.keys + i * kv.key_stride;
        }
        block.fetch = fetch;
        block.fetch_count = end - fetch;
    }

    /// The block at `place` with its queries packed and its limits set.
    AttentionBlock prepare(int worker, const Place& place, const BlockState& state) const {
        const float** query_rows = workspace_.query_rows(worker);
        std::int64_t* limit = call_.causal == Causal::none ? nullptr : workspace_.key_limit(worker);
        const std::int64_t offset = position_offset(call_.shape, call_.causal);
        list_rows(call_.query, place, query_rows);
        if (limit)
            for (std::int64_t i = 0; i < place.rows; ++i)
                limit[i] = std::clamp<std::int64_t>((place.row + i) / schedule_.group + offset + 1, 0, call_.shape.key_length);
        const AttentionBlock block = with_state({.rows = place.rows,
                                                 .head_dim = call_.shape.head_dim,
                                                 .value_dim = call_.shape.value_dim,
                                                 .key_limit = limit,
                                                 .queries = workspace_.queries(worker),
                                                 .scores = workspace_.scores(worker),
                                                 .row_max = nullptr,
                                                 .row_sum = nullptr,
                                                 .accumulators = nullptr,
                                                 .fetch = nullptr,
                                                 .fetch_count = 0,
                                                 .next_key_end = 0,
                                                 .begun = false},
                                                state);
        // Logits in units of log2, so that the weights are plain powers of two.
        kernel_.pack_queries(block, query_rows, static_cast<float>(static_cast<double>(call_.scale) * std::numbers::log2e));
        return block;
    }

    float* const* out_rows(int worker, const Place& place) const {
        float** rows = workspace_.out_rows(worker);
        list_rows(call_.out, place, rows);
        return rows;
    }

    const AttentionCall& call_;
    const AttentionSchedule& schedule_;
    const AttentionKernel& kernel_;
    const AttentionWorkspace& workspace_;
};

}  // namespace

void run_attention(const AttentionCall& call, const AttentionSchedule& schedule, const AttentionWorkspace& workspace) {
    const AttentionRun run(call, schedule, workspace);
    if (schedule.split) {
        std::fill_n(workspace.finished(0), schedule.items / schedule.chunks, 0);
        runtime::for_each_item(schedule.workers, schedule.items,
                               [&](int worker, std::int64_t item) { run.run_chunk(worker, item); });
    } else {
        runtime::for_each_item(schedule.workers, schedule.items, [&](int worker, std::int64_t item, std::int64_t upcoming) {
            run.run_block(worker, item, upcoming);
        });
    }
}

}  // namespace headwise
