#pragma once

#include <cstdint>

#include "engine/kernels/rope_kernels.hpp"
#include "engine/simd/least_weight.hpp"

namespace headwise {

/// How rows of keys are turned for their positions (RoPE) before they are multiplied; they are copied for that, a block at a time.
struct RopeRows {
    const RopeAngles* angles;
    bool interleaved;
    const std::int32_t* positions;  ///< of key j: positions[j]; null: first_position + j
    std::int64_t first_position;
    float* made;    ///< [dims]: room for the angles of one position
    float* turned;  ///< [kMaxTurnedKeys][head_dim]: the kernel's copies
};
inline constexpr std::int64_t kMaxTurnedKeys = 96;

/// The keys and values of one key/value head of a sequence, read where they lie. Strides in elements; the elements of a row are
/// adjacent. Key j is row j of `keys`, or, in pages, row j % page_size of page pages[j / page_size]; values likewise.
struct KeyValueRows {
    const float* keys;
    std::int64_t key_stride;
    const float* values;
    std::int64_t value_stride;
    std::int64_t count;  ///< of keys
    const std::int32_t* pages = nullptr;
    std::int64_t page_size = 0, key_page_stride = 0, value_page_stride = 0;
    const RopeRows* rope = nullptr;
};

/// What happens to the logits of a block between the first product and the softmax, in this order; what is null or 0 does not.
/// Arrays are [rows].
struct ScoreRules {
    float softcap = 0;  ///< logit = softcap * tanh(logit); the queries are scaled by 1 / softcap, too
    /// The caller's own, on scores[row * row_stride + i * key_stride] for `keys` keys from first_key on, in natural units.
    void (*function)(const void* context, float* scores, std::int64_t row_stride, std::int64_t key_stride, std::int64_t first_key,
                     std::int64_t keys) = nullptr;
    const void* function_context = nullptr;
    const float* const* bias = nullptr;              ///< of row i and key j: bias[i][j], natural units; -Inf hides
    const float* alibi_slopes = nullptr;             ///< + slope * (j - positions[i]), slope in units of log2
    const std::int64_t* positions = nullptr;         ///< with alibi_slopes
    const std::uint8_t* const* mask = nullptr;       ///< mask[i][j] == 0 hides key j from row i
    const std::uint8_t* const* mask_bits = nullptr;  ///< so does bit j % 8 of mask_bits[i][j / 8]
    const std::uint8_t* const* blocks = nullptr;     ///< and blocks[i][j / key_block] == 0
    std::int64_t key_block = 0;
    /// Key tree_begin + n is node n; row i sees of the nodes queries[i], its parent parents[queries[i]], that one's parent, ...
    /// (-1: none), and all keys before them.
    const std::int32_t* parents = nullptr;
    std::int64_t tree_begin = 0;
    const std::int64_t* queries = nullptr;

    bool masks() const { return mask || mask_bits || blocks || parents; }
};

/// row_max of a row that has seen no key: the lowest float, less than which is -Inf alone.
inline constexpr float kNoKeyYet = -0x1.fffffep+127f;
/// Weights may exceed 1 by this power of two before row_max follows: sums stay far from overflow, and rescaling what has been
/// accumulated is rare.
inline constexpr float kRescaleThreshold = 8.0f;

/// The running state of some query rows of one key/value head ("a block") and the buffers that a kernel works in. A row is one
/// (query, head in group) pair. Rows are ordered by query, so that key_begin and key_end do not fall. Layouts of the buffers are
/// the kernel's own; their sizes come from AttentionKernel.
struct AttentionBlock {
    std::int64_t rows;
    std::int64_t head_dim;
    std::int64_t value_dim;
    /// [rows]: row i may see the keys key_begin[i] <= j < key_end[i]; both null: all keys.
    const std::int64_t* key_begin;
    const std::int64_t* key_end;
    const ScoreRules* rules;  ///< null: none
    float* queries;           ///< packed, scaled
    float* scores;            ///< of one key block: logits in log2 units, then weights 2^(logit - row_max)
    float* row_max;           ///< reference of the weights in log2 units, within kRescaleThreshold of the largest logit yet
    float* row_sum;           ///< of the weights
    float* accumulators;      ///< sum over keys of weight * value
    /// [fetch_count]: where rows begin that will be needed after this block; the first head_dim floats of each are fetched into
    /// the cache while it is computed, by a kernel that can do so at no cost.
    const float* const* fetch;
    std::int64_t fetch_count;
    /// The next call to attend() for these rows, in the same `scores`, goes on to this key (0: there is none): a kernel may begin
    /// with it while it finishes this one. `begun`: the call before could do so for this one.
    std::int64_t next_key_end;
    bool begun;
};

/// What finish() takes in place of a factor for a row that sees nothing.
inline constexpr float kSeesNothing = -1;

/// One way to compute attention for a block. Sizes are in floats.
struct AttentionKernel {
    const char* name;
    std::int64_t max_rows;   ///< in a block
    std::int64_t row_unit;   ///< rows are padded to a multiple of this in all buffers
    std::int64_t dim_unit;   ///< head_dim and value_dim are padded to a multiple of this
    std::int64_t key_block;  ///< keys whose scores are held at once; chunks of keys that are attended to in turn are multiples
    std::int64_t
        part_keys;  ///< keys that are added up in one chain before a sum of the next ones begins, whole key blocks (KeySums)
    /// Packs the query rows; rows[i] points at row i, scales[i] is what it is multiplied with.
    void (*pack_queries)(const AttentionBlock& block, const float* const* rows, const float* scales);
    /// Sets the state to that of the keys [key_begin, key_end), whatever it was before.
    void (*attend)(const AttentionBlock& block, const KeyValueRows& kv, std::int64_t key_begin, std::int64_t key_end);
    /// Adds the state `from` (same rows, later keys) to that of `into`.
    void (*merge)(const AttentionBlock& into, const AttentionBlock& from);
    /// Writes accumulators * factors[i]; rows[i] points at row i of the result. kSeesNothing writes 0 whatever is
    /// accumulated; a factor of 0 does not, where that is NaN or Inf.
    void (*finish)(const AttentionBlock& block, float* const* rows, const float* factors);
    /// Whether the masks let a row see any key in [begin, end): sees_any_key().
    bool (*sees_any)(const ScoreRules& rules, std::int64_t row, std::int64_t begin, std::int64_t end);
};

inline constexpr std::int64_t kWeighedKeys = 64;

/// What the weights of a block's rows are formed with: factors[i] * 2^(logit - log2[i]), where factors[i] is below
/// 2^exponents[i]. [rows] each.
struct WeightReferences {
    const float* log2;
    const float* factors;
    const float* exponents;
};

struct AttentionKernels {
    AttentionKernel query_lanes;  ///< many rows: a vector holds one element of kLanes rows
    AttentionKernel key_rows;     ///< few rows: a vector holds kLanes elements of one row
    /// weights[i * kWeighedKeys + j] = that of row i and key key_begin + j for j < keys <= kWeighedKeys; 0 where it is below
    /// 2^kLeastWeightLog2 or not seen, and for j >= keys. For a block of query_lanes; its state is left alone. Meanwhile the values
    /// from next_key on, a key that there is, are fetched into the cache.
    void (*weigh)(const AttentionBlock& block, const KeyValueRows& kv, std::int64_t key_begin, std::int64_t keys,
                  std::int64_t next_key, const WeightReferences& references, float* weights);
    /// Bit j: weights[j], of the kWeighedKeys of one row, exceeds `least`. Where more than k of them do, at least the k largest of
    /// them have a bit, and few others: in the first keys of a row nearly half would take a place only to lose it again.
    std::uint64_t (*largest)(const float* weights, float least, std::int64_t k);
};

}  // namespace headwise
