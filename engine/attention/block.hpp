#pragma once

#include <cstdint>
#include <span>

#include "engine/attention/items.hpp"
#include "engine/attention/place.hpp"
#include "engine/contract/sequences.hpp"

namespace headwise {

/// Rows of one key/value head, ordered by query: row i is query queries[i] of the sequence and query head heads[i].
struct BlockRows {
    const std::int64_t* queries;
    const std::int64_t* heads;
};

/// Lists the rows of some places in the worker's part of the workspace.
BlockRows rows_of(std::span<const BlockPlace> places, std::int64_t group, const AttentionWorkspace& workspace, int worker);

/// A block made ready for its kernel: where its rows are, what they may see and what is done to their scores. It points into itself
/// and into the worker's part of the workspace, so it must not move.
class PreparedBlock {
  public:
    /// The rows are [row, row + rows) of each place, one place after another; the places differ only in the sequence. With
    /// `chosen`, they are the chosen rows of the key/value head of a single place. Several places share a common prefix that all
    /// their rows see by position.
    PreparedBlock(const AttentionCall& call, const AttentionWorkspace& workspace, int worker, std::span<const BlockPlace> places,
                  const BlockState& state, const BlockRows* chosen = nullptr);
    PreparedBlock(const PreparedBlock&) = delete;
    PreparedBlock& operator=(const PreparedBlock&) = delete;

    AttentionBlock block{};
    KeyValueRows keys{};
    const BlockRows rows;

  private:
    struct FunctionContext {
        ScoreFunction function;
        std::span<const BlockPlace> places;
        std::int64_t group;
        const BlockRows* chosen;
    };

    const BlockPlace& first() const { return places_[0]; }
    Positions positions_of(const BlockPlace& place) const {
        return headwise::positions_of(call_.options, call_.arguments, place.sequence, place.b);
    }
    PositionRules rules_of(const BlockPlace& place) const {
        return position_rules(call_.options, call_.arguments, place.sequence, place.b);
    }

    /// Calls function(place, begin, end) for each place; the rows [begin, end) of the block come from it.
    template <class Function>
    void for_places(Function function) const {
        std::int64_t end = 0;
        for (const BlockPlace& place : places_) {
            const std::int64_t begin = end;
            end += place.rows;
            function(place, begin, end);
        }
    }

    void set_limits();
    void set_rules();
    void clear_scores();
    void set_masks();
    void set_function();
    void set_keys();
    void pack_queries();

    /// rows[i] = where the keys of row i begin in a mask or bias [batch or 1, heads or 1, queries or 1, keys].
    template <class T>
    const T* const* row_starts(const TensorView<const T, 4>& view, RowPointers which, std::int64_t query_block = 1);

    const AttentionCall& call_;
    const AttentionWorkspace& workspace_;
    const int worker_;
    const std::span<const BlockPlace> places_;
    const BlockRows* chosen_;
    ScoreRules rules_{};
    RopeRows rope_{};
    FunctionContext function_{};
};

/// rows[i] = where row i of the block begins in query or out.
template <class T>
T** list_rows(const TensorView<T, 4>& view, const BlockPlace& place, std::int64_t group, T** rows) {
    T* data = view.data + place.sequence.query_batch * view.stride[0] + place.sequence.first_query * view.stride[2];
    for_rows(place, group,
             [&](std::int64_t query, std::int64_t head) { *rows++ = data + head * view.stride[1] + query * view.stride[2]; });
    return rows;
}

/// The same block with another state.
inline AttentionBlock with_state(AttentionBlock block, const BlockState& state) {
    block.row_max = state.row_max;
    block.row_sum = state.row_sum;
    block.accumulators = state.accumulators;
    return block;
}

/// Whether the masks let a row see any key in [begin, end).
inline bool sees_by_masks(const AttentionKernel& kernel, const AttentionBlock& block, std::int64_t row, std::int64_t begin,
                          std::int64_t end) {
    return begin < end && (!block.rules || kernel.sees_any(*block.rules, row, begin, end));
}

/// Whether the row may see any key in [begin, end), all of which its state covers. A sum of 0 does not answer that: it also results
/// from keys whose logits are -Inf, for which the formula gives NaN.
inline bool sees_any(const AttentionKernel& kernel, const AttentionBlock& block, std::int64_t row, std::int64_t begin,
                     std::int64_t end) {
    if (!(block.row_sum[row] == 0)) return true;
    if (block.key_begin) begin = block.key_begin[row];
    if (block.key_end) end = block.key_end[row];
    return sees_by_masks(kernel, block, row, begin, end);
}

/// The addresses of the keys and values of a block's key/value head.
KeyValueRows key_value_rows(const AttentionArguments& arguments, const BlockPlace& place);

}  // namespace headwise
