#include "engine/attention/schedule.hpp"

#include <algorithm>
#include <cmath>

namespace headwise {
namespace {

// Up to this many rows the time is that of reading K and V, and the kernel that loads each of them once wins; beyond, the lanes of
// the other one are full enough.
constexpr std::int64_t kFewRows = 8;

// A chunk of keys costs its merge: rows * value_dim multiply-adds against rows * keys * (head_dim + value_dim), below 0.2 % from
// here on.
constexpr std::int64_t kMinKeysPerChunk = 512;
constexpr std::int64_t kMaxChunks = 32;
// Chunks of one block that are kept at once, when they are items of their own, may take this much.
constexpr std::int64_t kMaxChunkFloats = 40 * 1024;
// Chunks become items where there are fewer blocks than this for each worker: with more, the last block to finish leaves little
// idle time.
constexpr std::int64_t kEnoughItemsPerWorker = 4;
// A sequence with this many blocks of rows keeps enough workers busy by itself.
constexpr std::int64_t kEnoughBlocks = 32;

// Work that is worth waking one more worker for: about 20 us.
constexpr double kMinFlopsPerWorker = 2e6;
constexpr double kMinBytesPerWorker = 2e5;

std::int64_t divide_up(std::int64_t a, std::int64_t b) {
    return (a + b - 1) / b;
}
std::int64_t round_up(std::int64_t a, std::int64_t b) {
    return divide_up(a, b) * b;
}

/// Query-key pairs of one head that are allowed.
double allowed_pairs(const AttentionShape& shape, Causal causal) {
    const auto queries = static_cast<double>(shape.query_length), keys = static_cast<double>(shape.key_length);
    if (causal == Causal::none) return queries * keys;
    // Query i sees min(max(i + 1 + offset, 0), keys): nothing for the first -offset queries, then one more each, then all.
    const auto offset = static_cast<double>(position_offset(shape, causal));
    const double first = std::clamp(-offset, 0.0, queries), full = std::clamp(keys - offset, first, queries);
    const double rising = full - first;
    return rising * (first + 1 + offset) + rising * (rising - 1) / 2 + (queries - full) * keys;
}

/// The most chunks that a block of this schedule is reduced in, whatever the number of keys.
std::int64_t max_chunks(const AttentionSchedule& s) {
    const std::int64_t by_memory = std::max<std::int64_t>(kMaxChunkFloats / s.state_floats, 1);
    const std::int64_t by_need = std::max<std::int64_t>(divide_up(kEnoughBlocks, s.blocks), 1);
    return std::min({kMaxChunks, by_memory, by_need});
}

bool few_blocks(std::int64_t blocks, int workers) {
    return workers > 1 && blocks < kEnoughItemsPerWorker * workers;
}

}  // namespace

AttentionSchedule schedule_attention(const AttentionShape& shape, Causal causal, const AttentionKernels& kernels, int max_workers) {
    AttentionSchedule s{};
    s.group = shape.num_heads / shape.num_kv_heads;
    s.rows = shape.query_length * s.group;
    s.kernel = s.rows <= kFewRows ? &kernels.key_rows : &kernels.query_lanes;
    // Blocks of equal size rather than full ones and a small rest.
    s.blocks = std::max<std::int64_t>(divide_up(s.rows, s.kernel->max_rows), 1);
    s.block_rows = std::max(round_up(divide_up(s.rows, s.blocks), s.kernel->row_unit), s.kernel->row_unit);
    s.blocks = std::max<std::int64_t>(divide_up(s.rows, s.block_rows), 1);

    s.padded_rows = s.block_rows;
    s.query_floats = s.padded_rows * round_up(shape.head_dim, s.kernel->dim_unit);
    s.score_floats = s.padded_rows * s.kernel->key_block;
    s.state_floats = s.padded_rows * (2 + round_up(shape.value_dim, s.kernel->dim_unit));

    const std::int64_t keys = std::max<std::int64_t>(shape.key_length, 1);
    s.key_chunk = round_up(std::max(kMinKeysPerChunk, divide_up(keys, max_chunks(s))), s.kernel->key_block);
    s.chunks = divide_up(keys, s.key_chunk);

    const auto batch = static_cast<double>(shape.batch), heads = static_cast<double>(shape.num_heads);
    const auto kv_heads = static_cast<double>(shape.num_kv_heads), dims = static_cast<double>(shape.head_dim + shape.value_dim);
    s.flops = 2 * dims * batch * heads * allowed_pairs(shape, causal);
    s.bytes = sizeof(float) * dims * batch *
              (heads * static_cast<double>(shape.query_length) + kv_heads * static_cast<double>(shape.key_length));
    const double worth = std::max(s.flops / kMinFlopsPerWorker, s.bytes / kMinBytesPerWorker);
    s.workers = static_cast<int>(std::clamp(worth, 1.0, static_cast<double>(max_workers)));

    const std::int64_t block_items = s.rows == 0 ? 0 : shape.batch * shape.num_kv_heads * s.blocks;
    s.split = s.chunks > 1 && few_blocks(block_items, s.workers);
    s.items = block_items * (s.split ? s.chunks : 1);
    s.workers = static_cast<int>(std::clamp<std::int64_t>(s.workers, 1, std::max<std::int64_t>(s.items, 1)));
    return s;
}

std::int64_t max_partial_states(const AttentionSchedule& schedule, std::int64_t blocks, int max_workers) {
    const std::int64_t chunks = max_chunks(schedule);
    return few_blocks(blocks, max_workers) && chunks > 1 ? blocks * chunks : 0;
}

}  // namespace headwise
