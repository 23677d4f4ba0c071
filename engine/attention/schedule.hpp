#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/kernels/attention_kernels.hpp"
#include "headwise/attention.hpp"

namespace headwise {

/// How one sequence is cut into blocks and key chunks: pure arithmetic on its own lengths, the head shape and the kernels, so that
/// its bits depend on nothing else.
struct SequenceSchedule {
    const AttentionKernel* kernel;
    std::int64_t rows;                ///< queries * group: rows that share one key/value head
    std::int64_t block_rows;          ///< rows of a block, but the last
    std::int64_t blocks;              ///< of one key/value head; 0 where there are no rows
    std::int64_t key_begin, key_end;  ///< the keys that are cut into chunks
    std::int64_t key_chunk;           ///< keys of a chunk, but the last
    std::int64_t chunks;              ///< at least 1; reduced on their own, merged in index order

    std::int64_t chunk_begin(std::int64_t chunk) const { return key_begin + chunk * key_chunk; }
    std::int64_t chunk_end(std::int64_t chunk) const { return std::min(chunk_begin(chunk + 1), key_end); }
};

/// Of a sequence's keys [first_key, keys). `shape` is valid; its lengths do not matter.
SequenceSchedule schedule_sequence(const AttentionShape& shape, std::int64_t queries, std::int64_t keys,
                                   const AttentionKernels& kernels, std::int64_t first_key = 0);

/// How the keys [0, shared_keys) are cut, and `rows` rows of any sequences that see all of them. The chunks do not depend on the
/// rows, and with queries in lanes neither does what becomes of a row on those beside it: so a sequence's bits do not depend on who
/// shares its keys.
SequenceSchedule schedule_shared(const AttentionShape& shape, std::int64_t rows, std::int64_t shared_keys,
                                 const AttentionKernels& kernels);

/// The size of the state of a block, in floats: that of row_max, row_sum and accumulators.
struct StateSize {
    std::int64_t rows, floats;
};

/// Blocks that a run has at most, of all key/value heads of the batch, and the most chunks that one of them is reduced in, however
/// many keys there are.
struct BlockCount {
    std::int64_t blocks, max_chunks;
};

/// Sizes of buffers in floats that do for every sequence of at most shape.query_length queries.
struct AttentionSizes {
    std::int64_t query_floats, score_floats;
    StateSize state;      ///< of any block
    StateSize own_state;  ///< of blocks of one sequence
    BlockCount own, shared;
    std::int64_t shared_rows;  ///< of all sequences that may share keys
};
AttentionSizes attention_sizes(const AttentionShape& shape, bool shared_prefix, const AttentionKernels& kernels);

/// What workers draw: all blocks of a key/value head of a sequence, a block, or one chunk of a block's keys.
enum class AttentionItem { head, block, chunk };

/// What follows from all sequences together and decides about speed alone.
struct WorkShare {
    int workers;
    AttentionItem item;
};

/// For work of this size in `blocks` blocks of at most `chunks` chunks each, with items no larger than a block.
WorkShare share_work(double flops, double bytes, std::int64_t blocks, std::int64_t chunks, int max_workers);

/// States of split chunks that a run needs to keep at once: 0 where the chunks of the planned blocks never become items.
std::int64_t max_partial_states(const BlockCount& count, int max_workers);

}  // namespace headwise
