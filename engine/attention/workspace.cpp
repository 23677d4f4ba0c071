#include "engine/attention/workspace.hpp"

#include <algorithm>
#include <cassert>

namespace headwise {

AttentionWorkspace::AttentionWorkspace(const AttentionShape& shape, const AttentionSizes& sizes, bool turns, int workers,
                                       std::int64_t partial_states)
    : rows_(sizes.rows), partial_states_(partial_states) {
    std::size_t end = 0;
    const auto take = [&](std::int64_t count, std::size_t size) {
        const std::size_t begin = end;
        end += (static_cast<std::size_t>(count) * size + kAlignment - 1) / kAlignment * kAlignment;
        return begin;
    };
    row_pointers_ = take(rows_ * (static_cast<std::int64_t>(RowPointers::blocks) + 1), sizeof(float*));
    row_integers_ = take(rows_ * (static_cast<std::int64_t>(RowIntegers::position) + 1), sizeof(std::int64_t));
    row_floats_ = take(rows_ * (static_cast<std::int64_t>(RowFloats::factor) + 1), sizeof(float));
    fetch_ = take(2 * rows_ + kFetchedKeys, sizeof(float*));
    queries_ = take(sizes.query_floats, sizeof(float));
    scores_ = take(sizes.score_floats, sizeof(float));
    turned_ = take(turns ? std::max(rows_, kMaxTurnedKeys) * shape.head_dim : 0, sizeof(float));
    states_ = end;
    take(sizes.state_floats, sizeof(float));
    state_bytes_ = end - states_;
    end += state_bytes_;
    worker_bytes_ = end;

    end = static_cast<std::size_t>(workers) * worker_bytes_;
    order_ = take(shape.batch, sizeof(std::int64_t));
    first_item_ = take(shape.batch + 1, sizeof(std::int64_t));
    partials_ = end;
    end += static_cast<std::size_t>(partial_states) * state_bytes_;
    finished_ = take(partial_states, sizeof(std::int32_t));
    bytes_ = end;
}

void AttentionWorkspace::bind(std::span<std::byte> memory) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    base_ = memory.data() + ((kAlignment - address % kAlignment) % kAlignment);
    assert(base_ + bytes_ <= memory.data() + memory.size());
}

}  // namespace headwise
