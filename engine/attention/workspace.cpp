#include "engine/attention/workspace.hpp"

#include <cassert>

namespace headwise {

AttentionWorkspace::AttentionWorkspace(const AttentionSchedule& schedule, int workers, std::int64_t blocks,
                                       std::int64_t partial_states)
    : rows_(schedule.padded_rows) {
    std::size_t end = 0;
    const auto take = [&](std::int64_t count, std::size_t size) {
        const std::size_t begin = end;
        end += (static_cast<std::size_t>(count) * size + kAlignment - 1) / kAlignment * kAlignment;
        return begin;
    };
    query_rows_ = take(rows_, sizeof(float*));
    out_rows_ = take(rows_, sizeof(float*));
    fetch_ = take(2 * rows_ + kFetchedKeys, sizeof(float*));
    key_limit_ = take(rows_, sizeof(std::int64_t));
    queries_ = take(schedule.query_floats, sizeof(float));
    scores_ = take(schedule.score_floats, sizeof(float));
    states_ = end;
    take(schedule.state_floats, sizeof(float));
    state_bytes_ = end - states_;
    end += state_bytes_;
    worker_bytes_ = end;

    end = static_cast<std::size_t>(workers) * worker_bytes_;
    partials_ = end;
    end += static_cast<std::size_t>(partial_states) * state_bytes_;
    finished_ = take(partial_states > 0 ? blocks : 0, sizeof(std::int32_t));
    bytes_ = end;
}

void AttentionWorkspace::bind(std::span<std::byte> memory) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    base_ = memory.data() + ((kAlignment - address % kAlignment) % kAlignment);
    assert(base_ + bytes_ <= memory.data() + memory.size());
}

}  // namespace headwise
