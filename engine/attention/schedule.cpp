#include "engine/attention/schedule.hpp"

#include <algorithm>

namespace headwise {
namespace {

// Up to this many rows, time is that of reading K and V, and the kernel that loads each of them once wins. With more rows, the
// lanes of the other kernel are full enough.
constexpr std::int64_t kFewRows = 8;

// Each chunk costs a merge: rows * value_dim multiply-adds against rows * keys * (head_dim + value_dim). From this many keys on
// that is below 0.2 %.
constexpr std::int64_t kMinKeysPerChunk = 512;
constexpr std::int64_t kMaxChunks = 32;
// Limit of memory for the states of one block's chunks, if these are items.
constexpr std::int64_t kMaxChunkFloats = 40 * 1024;
// Chunks are items if there are fewer blocks per worker than this. With more, the last block to finish leaves little idle time.
constexpr std::int64_t kEnoughItemsPerWorker = 4;
// A sequence with this many blocks keeps enough workers busy by itself.
constexpr std::int64_t kEnoughBlocks = 32;

// The work that justifies waking one more worker: about 20 us.
constexpr double kMinFlopsPerWorker = 2e6;
constexpr double kMinBytesPerWorker = 2e5;

std::int64_t divide_up(std::int64_t a, std::int64_t b) {
    return (a + b - 1) / b;
}
std::int64_t round_up(std::int64_t a, std::int64_t b) {
    return divide_up(a, b) * b;
}

std::int64_t state_floats(const AttentionShape& shape, const AttentionKernel& kernel, std::int64_t rows) {
    return rows * (2 + round_up(shape.value_dim, kernel.dim_unit));
}

/// The largest number of chunks of a block, whatever the number of keys.
std::int64_t max_chunks(const AttentionShape& shape, const AttentionKernel& kernel, std::int64_t block_rows, std::int64_t blocks) {
    const std::int64_t by_memory = std::max<std::int64_t>(kMaxChunkFloats / state_floats(shape, kernel, block_rows), 1);
    const std::int64_t by_need = std::max<std::int64_t>(divide_up(kEnoughBlocks, blocks), 1);
    return std::min({kMaxChunks, by_memory, by_need});
}

/// Cuts rows into blocks of equal size rather than full ones and a small rest.
void cut_rows(SequenceSchedule& s) {
    const std::int64_t blocks = std::max<std::int64_t>(divide_up(s.rows, s.kernel->max_rows), 1);
    s.block_rows = std::max(round_up(divide_up(s.rows, blocks), s.kernel->row_unit), s.kernel->row_unit);
    s.blocks = divide_up(s.rows, s.block_rows);
}

void cut_keys(SequenceSchedule& s, std::int64_t most_chunks) {
    const std::int64_t keys = std::max<std::int64_t>(s.key_end - s.key_begin, 1);
    s.key_chunk = round_up(std::max(kMinKeysPerChunk, divide_up(keys, most_chunks)), s.kernel->key_block);
    s.chunks = divide_up(keys, s.key_chunk);
}

/// The largest number of chunks of a common prefix. Assumes full blocks and few of them, because the actual number of blocks must
/// not matter.
std::int64_t max_shared_chunks(const AttentionShape& shape, const AttentionKernels& kernels) {
    return max_chunks(shape, kernels.query_lanes, kernels.query_lanes.max_rows, 1);
}

bool few_blocks(std::int64_t blocks, int workers) {
    return workers > 1 && blocks < kEnoughItemsPerWorker * workers;
}

}  // namespace

SequenceSchedule schedule_sequence(const AttentionShape& shape, std::int64_t queries, std::int64_t keys,
                                   const AttentionKernels& kernels, std::int64_t first_key) {
    SequenceSchedule s{};
    s.rows = queries * (shape.num_heads / shape.num_kv_heads);
    s.kernel = s.rows <= kFewRows ? &kernels.key_rows : &kernels.query_lanes;
    s.key_begin = first_key;
    s.key_end = keys;
    cut_rows(s);
    cut_keys(s, max_chunks(shape, *s.kernel, s.block_rows, std::max<std::int64_t>(s.blocks, 1)));
    return s;
}

SequenceSchedule schedule_shared(const AttentionShape& shape, std::int64_t rows, std::int64_t shared_keys,
                                 const AttentionKernels& kernels) {
    SequenceSchedule s{};
    s.rows = rows;
    s.kernel = &kernels.query_lanes;
    s.key_end = shared_keys;
    cut_rows(s);
    cut_keys(s, max_shared_chunks(shape, kernels));
    return s;
}

AttentionSizes attention_sizes(const AttentionShape& shape, bool shared_prefix, const AttentionKernels& kernels) {
    const SequenceSchedule longest = schedule_sequence(shape, shape.query_length, 1, kernels);
    AttentionSizes sizes{};
    sizes.own = {shape.batch * shape.num_kv_heads * longest.blocks,
                 max_chunks(shape, *longest.kernel, longest.block_rows, std::max<std::int64_t>(longest.blocks, 1))};
    std::int64_t accumulators = 0;
    const auto add = [&](const AttentionKernel& kernel, std::int64_t rows) {
        rows = round_up(rows, kernel.row_unit);
        sizes.state.rows = std::max(sizes.state.rows, rows);
        sizes.query_floats = std::max(sizes.query_floats, rows * round_up(shape.head_dim, kernel.dim_unit));
        sizes.score_floats = std::max(sizes.score_floats, rows * kernel.key_block);
        accumulators = std::max(accumulators, rows * round_up(shape.value_dim, kernel.dim_unit));
        sizes.state.floats = 2 * sizes.state.rows + accumulators;
    };
    // Shorter sequences may use either kernel.
    const std::int64_t rows = std::max<std::int64_t>(longest.rows, 1), most = kernels.query_lanes.max_rows;
    add(kernels.key_rows, std::min(rows, kFewRows));
    if (rows > kFewRows) add(kernels.query_lanes, std::min(rows, most));
    sizes.own_state = sizes.state;
    if (!shared_prefix) return sizes;
    const SequenceSchedule shared = schedule_shared(shape, shape.batch * longest.rows, 1, kernels);
    add(kernels.query_lanes, std::min(shape.batch * rows, most));
    sizes.shared = {shape.num_kv_heads * shared.blocks, max_shared_chunks(shape, kernels)};
    sizes.shared_rows = shape.num_kv_heads * shared.rows;
    return sizes;
}

WorkShare share_work(double flops, double bytes, std::int64_t blocks, std::int64_t chunks, int max_workers) {
    const double worth = std::max(flops / kMinFlopsPerWorker, bytes / kMinBytesPerWorker);
    const int workers = static_cast<int>(std::clamp(worth, 1.0, static_cast<double>(max_workers)));
    return {.workers = workers, .item = chunks > 1 && few_blocks(blocks, workers) ? AttentionItem::chunk : AttentionItem::block};
}

std::int64_t max_partial_states(const BlockCount& count, int max_workers) {
    return few_blocks(count.blocks, max_workers) && count.max_chunks > 1 ? count.blocks * count.max_chunks : 0;
}

}  // namespace headwise
