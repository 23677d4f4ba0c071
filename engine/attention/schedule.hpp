#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/kernels/attention_kernels.hpp"
#include "headwise/attention.hpp"

namespace headwise {

/// How one sequence is cut into blocks and key chunks: pure arithmetic on its own lengths, the head shape and the kernels. Its bits
/// depend on nothing else.
struct SequenceSchedule {
    const AttentionKernel* kernel;
    std::int64_t rows;                ///< queries * group: rows that share one key/value head
    std::int64_t block_rows;          ///< rows of each block except the last
    std::int64_t blocks;              ///< of one key/value head; 0 if there are no rows
    std::int64_t key_begin, key_end;  ///< the keys that are cut into chunks
    std::int64_t key_chunk;           ///< keys of each chunk except the last
    std::int64_t chunks;              ///< at least 1; each is reduced to a state of its own; these are merged in index order

    std::int64_t chunk_begin(std::int64_t chunk) const { return key_begin + chunk * key_chunk; }
    std::int64_t chunk_end(std::int64_t chunk) const { return std::min(chunk_begin(chunk + 1), key_end); }
};

/// The schedule of a sequence's keys [first_key, keys). `shape` is valid; its lengths do not matter.
SequenceSchedule schedule_sequence(const AttentionShape& shape, std::int64_t queries, std::int64_t keys,
                                   const AttentionKernels& kernels, std::int64_t first_key = 0);

/// The schedule of the common prefix [0, shared_keys), with `rows` rows of any sequences that see all of it. The chunks do not
/// depend on the rows. With queries in lanes, a row's result does not depend on the other rows either. So a sequence's bits do not
/// depend on which others share its keys.
SequenceSchedule schedule_shared(const AttentionShape& shape, std::int64_t rows, std::int64_t shared_keys,
                                 const AttentionKernels& kernels);

/// The size of a block's state (row_max, row_sum and accumulators), in floats.
struct StateSize {
    std::int64_t rows, floats;
};

/// The largest number of blocks in a run, over all key/value heads of the batch, and the largest number of chunks of one block,
/// whatever the number of keys.
struct BlockCount {
    std::int64_t blocks, max_chunks;
};

/// Sizes of buffers in floats that are enough for every sequence of at most shape.query_length queries.
struct AttentionSizes {
    std::int64_t query_floats, score_floats;
    StateSize state;      ///< of any block
    StateSize own_state;  ///< of blocks of one sequence
    BlockCount own, shared;
    std::int64_t shared_rows;  ///< of all sequences that may share a common prefix
};
AttentionSizes attention_sizes(const AttentionShape& shape, bool shared_prefix, const AttentionKernels& kernels);

/// What workers draw: all blocks of a key/value head of a sequence, one block, or one chunk of a block's keys.
enum class AttentionItem { head, block, chunk };

/// Follows from all sequences together, and affects speed only.
struct WorkShare {
    int workers;
    AttentionItem item;
};

/// For work of this size, in `blocks` blocks of at most `chunks` chunks each. The items are no larger than a block.
WorkShare share_work(double flops, double bytes, std::int64_t blocks, std::int64_t chunks, int max_workers);

/// The number of states of split chunks that a run keeps at once; 0 if the chunks of the planned blocks never become items.
std::int64_t max_partial_states(const BlockCount& count, int max_workers);

}  // namespace headwise
