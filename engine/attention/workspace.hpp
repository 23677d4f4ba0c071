#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/attention/place.hpp"
#include "engine/attention/schedule.hpp"
#include "engine/layout/cache_line.hpp"

namespace headwise {

/// The state of a block (AttentionBlock) in memory: row_max, row_sum and accumulators, one after another.
struct BlockState {
    float* row_max;
    float* row_sum;
    float* accumulators;
};

/// The arrays of a worker that have one element per row of a block.
enum class RowPointers { queries, bias, mask, mask_bits, blocks };
enum class RowIntegers { query, head, key_begin, key_end, position };
enum class RowFloats { scale, slope, factor, exponent, shared_weight, reference };

/// What is left of a row's shared keys, besides the result in `out`: row_max and row_sum of a block.
struct SharedRow {
    float max, sum;
};

/// The number of states of split chunks that are kept at once, for the sequences' own keys or for a common prefix.
struct PartialStates {
    std::int64_t own = 0, shared = 0;
};

/// The layout of the caller's workspace:
///   per worker               arrays over the rows of a block, rows to fetch ahead, packed queries, scores, states; with RoPE,
///                            copies of rotated rows; with a common prefix, the places that a block's rows come from
///   shared by all            the plans of the sequences; with a common prefix, the first row of each sequence among those that
///                            share it, and a SharedRow for each of these rows
///   if chunks are items      one state and one counter of finished chunks per item
/// All parts begin at cache lines, so that workers do not share any.
class AttentionWorkspace {
  public:
    AttentionWorkspace(const AttentionShape& shape, const AttentionSizes& sizes, bool turns, int workers,
                       const PartialStates& partial_states);

    std::size_t bytes() const noexcept { return bytes_ + kCacheLine; }
    const PartialStates& partial_states() const noexcept { return partial_states_; }

    /// Binds the layout to memory of at least bytes() bytes.
    void bind(std::span<std::byte> memory) noexcept;

    // What one worker works in.
    template <class T>
    T** rows(int worker, RowPointers which) const noexcept {
        return reinterpret_cast<T**>(part(worker, row_pointers_)) + static_cast<std::int64_t>(which) * rows_;
    }
    std::int64_t* integers(int worker, RowIntegers which) const noexcept {
        return reinterpret_cast<std::int64_t*>(part(worker, row_integers_)) + static_cast<std::int64_t>(which) * rows_;
    }
    float* floats(int worker, RowFloats which) const noexcept {
        return reinterpret_cast<float*>(part(worker, row_floats_)) + static_cast<std::int64_t>(which) * rows_;
    }
    /// Where the rows of the result begin, followed by rows that are needed after this block (AttentionBlock::fetch).
    float** outs(int worker) const noexcept { return reinterpret_cast<float**>(part(worker, outs_)); }
    float* queries(int worker) const noexcept { return reinterpret_cast<float*>(part(worker, queries_)); }
    float* scores(int worker) const noexcept { return reinterpret_cast<float*>(part(worker, scores_)); }
    /// Where RoPE writes rotated rows: a block's queries until they are packed, then key blocks.
    float* turned(int worker) const noexcept { return reinterpret_cast<float*>(part(worker, turned_)); }
    /// Room for the angles that rotate one row.
    float* angles(int worker) const noexcept { return reinterpret_cast<float*>(part(worker, angles_)); }
    BlockState state(int worker, int which) const noexcept {
        return state_at(part(worker, states_) + static_cast<std::size_t>(which) * state_bytes_, rows_);
    }
    BlockPlace* places(int worker) const noexcept { return reinterpret_cast<BlockPlace*>(part(worker, places_)); }

    // What is shared.
    /// [batch + 1], in order of execution. The last element has only first_item, the number of all items.
    SequencePlan* sequences() const noexcept { return reinterpret_cast<SequencePlan*>(base_ + sequences_); }
    /// [batch + 1]: in blocks of a common prefix, the number of rows of a key/value head that come before a sequence's rows.
    std::int64_t* first_shared_row() const noexcept { return reinterpret_cast<std::int64_t*>(base_ + first_shared_row_); }
    /// For the rows of one key/value head of a sequence.
    SharedRow* shared_rows(std::int64_t b, std::int64_t kv_head) const noexcept {
        return reinterpret_cast<SharedRow*>(base_ + shared_rows_) + (b * kv_heads_ + kv_head) * rows_per_head_;
    }
    BlockState partial(std::int64_t item) const noexcept {
        return state_at(base_ + partials_ + static_cast<std::size_t>(item) * own_state_bytes_, own_rows_);
    }
    BlockState shared_partial(std::int64_t item) const noexcept {
        return state_at(base_ + partials_ + static_cast<std::size_t>(item) * state_bytes_, rows_);
    }
    std::int32_t* finished(std::int64_t item) const noexcept { return reinterpret_cast<std::int32_t*>(base_ + finished_) + item; }

    /// A block's state, a chunk's state, and the states for a chunk's sum (KeySums).
    static constexpr int kFirstSpareState = 2, kSpareStates = 3;

    /// Keys that outs() has room for, besides the out rows of one block and the query rows of another.
    static constexpr std::int64_t kFetchedKeys = 16;

  private:
    std::byte* part(int worker, std::size_t offset) const noexcept {
        return base_ + static_cast<std::size_t>(worker) * worker_bytes_ + offset;
    }
    static BlockState state_at(std::byte* at, std::int64_t rows) noexcept {
        auto* p = reinterpret_cast<float*>(at);
        return {p, p + rows, p + 2 * rows};
    }

    std::int64_t rows_, own_rows_, kv_heads_, rows_per_head_;
    PartialStates partial_states_;
    // Within a worker's part.
    std::size_t row_pointers_, row_integers_, row_floats_, outs_, queries_, scores_, turned_, angles_, places_, states_;
    std::size_t state_bytes_, own_state_bytes_, worker_bytes_;
    std::size_t sequences_, first_shared_row_, shared_rows_, partials_, finished_, bytes_;
    std::byte* base_ = nullptr;
};

}  // namespace headwise
