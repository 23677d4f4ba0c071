#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/attention_kernels.hpp"
#include "headwise/attention.hpp"

namespace headwise {

/// How one attention call is cut into blocks, key chunks and items of work: pure arithmetic on sizes.
///
/// What decides about bits (kernel, block_rows, key_chunk) follows from one sequence's lengths, the head shape and the kernels
/// alone; what does not (workers, split) may follow from anything.
struct AttentionSchedule {
    const AttentionKernel* kernel;
    std::int64_t group;       ///< query heads per key/value head
    std::int64_t rows;        ///< query_length * group: rows that share one key/value head
    std::int64_t block_rows;  ///< rows of a block, but the last
    std::int64_t blocks;      ///< of one key/value head
    std::int64_t key_chunk;   ///< keys of a chunk, but the last
    std::int64_t chunks;      ///< at least 1; reduced on their own, merged in index order
    bool split;               ///< each chunk is an item of its own
    std::int64_t items;       ///< batch * num_kv_heads * blocks, times chunks where split
    int workers;              ///< tasks that draw the items
    double flops, bytes;      ///< as in AttentionExplanation

    // Buffer sizes in floats.
    std::int64_t padded_rows;
    std::int64_t query_floats, score_floats, state_floats;
};

/// `shape` is valid; its key_length is that of the run. At most `max_workers` workers.
AttentionSchedule schedule_attention(const AttentionShape& shape, Causal causal, const AttentionKernels& kernels, int max_workers);

/// States of split chunks that a run with any key length keeps at once: 0 where the chunks of `blocks` blocks never become items.
std::int64_t max_partial_states(const AttentionSchedule& schedule, std::int64_t blocks, int max_workers);

/// Query i sits at position i + this.
constexpr std::int64_t position_offset(const AttentionShape& shape, Causal causal) {
    return causal == Causal::bottom_right ? shape.key_length - shape.query_length : 0;
}

}  // namespace headwise
