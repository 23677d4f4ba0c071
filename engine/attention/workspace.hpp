#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/attention/schedule.hpp"

namespace headwise {

/// The state of a block (AttentionBlock) in memory: row_max, row_sum, accumulators, one behind the other.
struct BlockState {
    float* row_max;
    float* row_sum;
    float* accumulators;
};

/// Where everything lies in the caller's workspace:
///   for each worker   row pointers, rows to fetch ahead, limits, packed queries, scores, two states
///   where chunks are items   one state for each (block, chunk), one counter of finished chunks for each block
/// All parts begin at cache lines, so that workers do not share any.
class AttentionWorkspace {
  public:
    /// The layout for a schedule and `workers` workers, with at most `partial_states` states of split chunks.
    AttentionWorkspace(const AttentionSchedule& schedule, int workers, std::int64_t blocks, std::int64_t partial_states);

    std::size_t bytes() const noexcept { return bytes_ + kAlignment; }

    /// Binds the layout to memory of at least bytes() bytes.
    void bind(std::span<std::byte> memory) noexcept;

    // What one worker works in.
    const float** query_rows(int worker) const noexcept { return reinterpret_cast<const float**>(part(worker, query_rows_)); }
    float** out_rows(int worker) const noexcept { return reinterpret_cast<float**>(part(worker, out_rows_)); }
    const float** fetch(int worker) const noexcept { return reinterpret_cast<const float**>(part(worker, fetch_)); }
    std::int64_t* key_limit(int worker) const noexcept { return reinterpret_cast<std::int64_t*>(part(worker, key_limit_)); }
    float* queries(int worker) const noexcept { return reinterpret_cast<float*>(part(worker, queries_)); }
    float* scores(int worker) const noexcept { return reinterpret_cast<float*>(part(worker, scores_)); }
    BlockState state(int worker, int which) const noexcept {
        return state_at(part(worker, states_) + static_cast<std::size_t>(which) * state_bytes_);
    }

    // What is shared where chunks are items.
    BlockState partial(std::int64_t index) const noexcept {
        return state_at(base_ + partials_ + static_cast<std::size_t>(index) * state_bytes_);
    }
    std::int32_t* finished(std::int64_t block) const noexcept { return reinterpret_cast<std::int32_t*>(base_ + finished_) + block; }

    /// Rows that fetch() may name besides the query rows of one block and the out rows of another.
    static constexpr std::int64_t kFetchedKeys = 16;

  private:
    static constexpr std::size_t kAlignment = 64;

    std::byte* part(int worker, std::size_t offset) const noexcept {
        return base_ + static_cast<std::size_t>(worker) * worker_bytes_ + offset;
    }
    BlockState state_at(std::byte* at) const noexcept {
        auto* p = reinterpret_cast<float*>(at);
        return {p, p + rows_, p + 2 * rows_};
    }

    std::int64_t rows_;
    std::size_t query_rows_, out_rows_, fetch_, key_limit_, queries_, scores_, states_;  // within a worker's part
    std::size_t state_bytes_, worker_bytes_, partials_, finished_, bytes_;
    std::byte* base_ = nullptr;
};

}  // namespace headwise
