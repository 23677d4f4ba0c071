#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/attention_kernels.hpp"
#include "headwise/attention.hpp"

namespace headwise {

/// How one sequence is cut into blocks and key chunks: pure arithmetic on its own lengths, the head shape and the kernels, so that
/// its bits depend on nothing else.
struct SequenceSchedule {
    const AttentionKernel* kernel;
    std::int64_t rows;        ///< queries * group: rows that share one key/value head
    std::int64_t block_rows;  ///< rows of a block, but the last
    std::int64_t blocks;      ///< of one key/value head; 0 where there are no rows
    std::int64_t key_chunk;   ///< keys of a chunk, but the last
    std::int64_t chunks;      ///< at least 1; reduced on their own, merged in index order
};

/// `shape` is valid; its lengths do not matter.
SequenceSchedule schedule_sequence(const AttentionShape& shape, std::int64_t queries, std::int64_t keys,
                                   const AttentionKernels& kernels);

/// Sizes of buffers in floats that do for every sequence of at most shape.query_length queries.
struct AttentionSizes {
    std::int64_t rows;  ///< of a block
    std::int64_t query_floats, score_floats, state_floats;
    std::int64_t max_chunks;  ///< of the longest sequence, however many keys there are
    std::int64_t blocks;      ///< of the longest sequences, all key/value heads of the batch
};
AttentionSizes attention_sizes(const AttentionShape& shape, const AttentionKernels& kernels);

/// What follows from all sequences together and decides about speed alone.
struct WorkShare {
    int workers;
    bool split;  ///< each chunk is an item of its own
};

/// For work of this size in `blocks` blocks of at most `chunks` chunks each.
WorkShare share_work(double flops, double bytes, std::int64_t blocks, std::int64_t chunks, int max_workers);

/// States of split chunks that a run needs to keep at once: 0 where the chunks of the planned blocks never become items.
std::int64_t max_partial_states(const AttentionSizes& sizes, int max_workers);

}  // namespace headwise
