#include "engine/attention/workspace.hpp"

#include <algorithm>
#include <cassert>

namespace headwise {

AttentionWorkspace::AttentionWorkspace(const AttentionShape& shape, const AttentionSizes& sizes, bool turns, int workers,
                                       const PartialStates& partial_states)
    : rows_(sizes.state.rows),
      own_rows_(sizes.own_state.rows),
      kv_heads_(shape.num_kv_heads),
      rows_per_head_(shape.query_length * (shape.num_heads / shape.num_kv_heads)),
      partial_states_(partial_states) {
    std::size_t end = 0;
    const auto aligned = [](std::int64_t count, std::size_t size) {
        return (static_cast<std::size_t>(count) * size + kCacheLine - 1) / kCacheLine * kCacheLine;
    };
    const auto take = [&](std::int64_t count, std::size_t size) {
        const std::size_t begin = end;
        end += aligned(count, size);
        return begin;
    };
    const bool shares = sizes.shared.max_chunks > 0;
    row_pointers_ = take(rows_ * (static_cast<std::int64_t>(RowPointers::blocks) + 1), sizeof(float*));
    row_integers_ = take(rows_ * (static_cast<std::int64_t>(RowIntegers::position) + 1), sizeof(std::int64_t));
    row_floats_ = take(rows_ * (static_cast<std::int64_t>(RowFloats::reference) + 1), sizeof(float));
    outs_ = take(2 * rows_ + kFetchedKeys, sizeof(float*));
    queries_ = take(sizes.query_floats, sizeof(float));
    scores_ = take(sizes.score_floats, sizeof(float));
    turned_ = take(turns ? std::max(rows_, kMaxTurnedKeys) * shape.head_dim : 0, sizeof(float));
    angles_ = take(turns ? shape.head_dim : 0, sizeof(float));
    places_ = take(shares ? rows_ : 0, sizeof(BlockPlace));
    state_bytes_ = aligned(sizes.state.floats, sizeof(float));
    own_state_bytes_ = aligned(sizes.own_state.floats, sizeof(float));
    states_ = end;
    end += (kFirstSpareState + kSpareStates) * state_bytes_;
    worker_bytes_ = end;

    end = static_cast<std::size_t>(workers) * worker_bytes_;
    sequences_ = take(shape.batch + 1, sizeof(SequencePlan));
    first_shared_row_ = take(shares ? shape.batch + 1 : 0, sizeof(std::int64_t));
    shared_rows_ = take(sizes.shared_rows, sizeof(SharedRow));
    partials_ = end;
    end += std::max(static_cast<std::size_t>(partial_states.own) * own_state_bytes_,
                    static_cast<std::size_t>(partial_states.shared) * state_bytes_);
    finished_ = take(std::max(partial_states.own, partial_states.shared), sizeof(std::int32_t));
    bytes_ = end;
}

void AttentionWorkspace::bind(std::span<std::byte> memory) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    base_ = memory.data() + ((kCacheLine - address % kCacheLine) % kCacheLine);
    assert(base_ + bytes_ <= memory.data() + memory.size());
}

}  // namespace headwise
