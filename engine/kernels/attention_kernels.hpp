#pragma once

#include <cstdint>

namespace headwise {

/// The keys and values of one key/value head, read where they lie. Strides in elements; the elements of a row are adjacent.
struct KeyValueRows {
    const float* keys;
    std::int64_t key_stride;
    const float* values;
    std::int64_t value_stride;
};

/// The running state of some query rows of one key/value head ("a block") and the buffers that a kernel works in. A row is one
/// (query, head in group) pair. Rows are ordered by query, so that key_limit does not fall. Layouts of the buffers are the kernel's
/// own; their sizes come from AttentionKernel.
struct AttentionBlock {
    std::int64_t rows;
    std::int64_t head_dim;
    std::int64_t value_dim;
    const std::int64_t* key_limit;  ///< [rows]: row i may see the keys below key_limit[i]; null: all of them
    float* queries;                 ///< packed, scaled by scale * log2(e)
    float* scores;                  ///< of one key block: logits in log2 units, then weights 2^(logit - row_max)
    float* row_max;       ///< reference of the weights in log2 units, within 8 of the largest logit yet; lowest float: no key yet
    float* row_sum;       ///< of the weights
    float* accumulators;  ///< sum over keys of weight * value
    /// [fetch_count]: where rows begin that will be needed after this block; the first head_dim floats of each are fetched into
    /// the cache while it is computed, by a kernel that can do so at no cost.
    const float* const* fetch;
    std::int64_t fetch_count;
    /// The next call to attend() for these rows, in the same `scores`, goes on to this key (0: there is none): a kernel may begin
    /// with it while it finishes this one. `begun`: the call before could do so for this one.
    std::int64_t next_key_end;
    bool begun;
};

/// One way to compute attention for a block. Sizes are in floats.
struct AttentionKernel {
    const char* name;
    std::int64_t max_rows;   ///< in a block
    std::int64_t row_unit;   ///< rows are padded to a multiple of this in all buffers
    std::int64_t dim_unit;   ///< head_dim and value_dim are padded to a multiple of this
    std::int64_t key_block;  ///< keys whose scores are held at once; chunks of keys that are attended to in turn are multiples
    /// Packs the query rows; rows[i] points at row i.
    void (*pack_queries)(const AttentionBlock& block, const float* const* rows, float scale);
    /// Sets the state to that of the keys [key_begin, key_end), whatever it was before.
    void (*attend)(const AttentionBlock& block, const KeyValueRows& kv, std::int64_t key_begin, std::int64_t key_end);
    /// Adds the state `from` (same rows, later keys) to that of `into`.
    void (*merge)(const AttentionBlock& into, const AttentionBlock& from);
    /// Writes accumulators / row_sum; rows[i] points at row i of the result. A row that may see no key of [0, key_end) gets 0.
    void (*finish)(const AttentionBlock& block, float* const* rows, std::int64_t key_end);
};

struct AttentionKernels {
    AttentionKernel query_lanes;  ///< many rows: a vector holds one element of kLanes rows
    AttentionKernel key_rows;     ///< few rows: a vector holds kLanes elements of one row
};

}  // namespace headwise
