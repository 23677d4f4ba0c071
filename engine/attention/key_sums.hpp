#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/attention/block.hpp"
#include "engine/attention/workspace.hpp"

namespace headwise {

/// A chunk of keys, and where the keys end that the block attends to next, in the next chunk (0: none).
struct ChunkKeys {
    std::int64_t begin, end, next_end;
};

/// Sums over a chunk of keys of any length, as a tree: key blocks form parts of part_keys, kFan parts a group, kFan groups a larger
/// one. So no chain of additions has more than kFan members. One f32 chain over a million keys would lose four digits.
///
/// Parts begin at the same keys whatever rows see of them, and merging with the state of rows that see nothing changes no bit. So a
/// row's bits do not depend on the other rows.
class KeySums {
  public:
    KeySums(const AttentionWorkspace& workspace, int worker, const AttentionKernel& kernel, const KeyValueRows& keys)
        : KeySums(workspace, worker, kernel, keys, kernel.part_keys) {}
    KeySums(const AttentionWorkspace& workspace, int worker, const AttentionKernel& kernel, const KeyValueRows& keys,
            std::int64_t part_keys)
        : workspace_(workspace), worker_(worker), kernel_(kernel), keys_(keys), part_keys_(part_keys) {}

    /// Computes the block's state over a chunk's keys. The last part fetches what block.fetch lists.
    void attend(const AttentionBlock& block, const ChunkKeys& chunk) const {
        const std::int64_t first_seen = block.key_begin ? std::max(block.key_begin[0], chunk.begin) : chunk.begin;
        const std::int64_t end_seen = block.key_end ? std::min(block.key_end[block.rows - 1], chunk.end) : chunk.end;
        const std::int64_t last = std::max((chunk.end - chunk.begin - 1) / part_keys_, std::int64_t{0});
        const std::int64_t begin = std::min((first_seen - chunk.begin) / part_keys_, last);
        const std::int64_t end = std::max((end_seen - chunk.begin + part_keys_ - 1) / part_keys_, begin + 1);
        sum(block, {chunk, begin, end}, begin, end, AttentionWorkspace::kSpareStates);
    }

    /// Where the first part of a chunk ends.
    std::int64_t first_end(std::int64_t begin, std::int64_t end) const { return std::min(begin + part_keys_, end); }

  private:
    static constexpr std::int64_t kFan = 32;

    /// The parts [begin, end) of a chunk.
    struct Parts {
        const ChunkKeys& chunk;
        std::int64_t begin, end;
    };

    /// Computes the block's state over the parts [begin, end), all within one group of that level.
    void sum(const AttentionBlock& block, const Parts& all, std::int64_t begin, std::int64_t end, int level) const {
        if (end - begin == 1) return attend_part(block, all, begin);
        std::int64_t size = 1;  // parts in a group of the level below
        for (int i = 1; i < level; ++i) size *= kFan;
        const auto end_of = [&](std::int64_t part) { return std::min((part / size + 1) * size, end); };
        sum(block, all, begin, end_of(begin), level - 1);
        for (std::int64_t next = end_of(begin); next < end; next = end_of(next)) {
            const AttentionBlock later =
                with_state(block, workspace_.state(worker_, AttentionWorkspace::kFirstSpareState + level - 1));
            sum(later, all, next, end_of(next), level - 1);
            kernel_.merge(block, later);
        }
    }

    void attend_part(AttentionBlock block, const Parts& all, std::int64_t part) const {
        const auto begin_of = [&](std::int64_t i) { return all.chunk.begin + i * part_keys_; };
        const auto end_of = [&](std::int64_t i) { return std::min(begin_of(i + 1), all.chunk.end); };
        const bool last = part + 1 == all.end;
        block.begun = block.begun || part > all.begin;
        block.next_key_end = last ? all.chunk.next_end : end_of(part + 1);
        if (!last) block.fetch_count = 0;
        kernel_.attend(block, keys_, begin_of(part), end_of(part));
    }

    const AttentionWorkspace& workspace_;
    const int worker_;
    const AttentionKernel& kernel_;
    const KeyValueRows& keys_;
    const std::int64_t part_keys_;
};

}  // namespace headwise
