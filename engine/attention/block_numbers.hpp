#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "engine/attention/call.hpp"
#include "engine/attention/workspace.hpp"

namespace headwise {

/// Which keys items attend to: the common prefix, or the sequences' own.
enum class Part { shared, own };

/// What item i of a part is: which rows of which sequences, and which chunk of their keys.
class BlockNumbers {
  public:
    BlockNumbers(const AttentionCall& call, const AttentionWorkspace& workspace, Part part);

    Part part() const { return part_; }
    const SequenceSchedule& shared_schedule() const { return shared_; }

    struct Item {
        std::span<const BlockPlace> places;
        std::int64_t chunk;
    };
    /// Finds an item's places: in the worker's part of the workspace, or the single place `own`. With chunks = 0 each chunk of a
    /// block is an item; with 1 each block is.
    Item find(int worker, std::int64_t item, std::int64_t chunks, BlockPlace& own) const {
        if (part_ == Part::shared) return find_shared(workspace_.places(worker), item, chunks);
        const std::int64_t chunk = find_own(own, item, chunks);
        return {{&own, 1}, chunk};
    }

    /// The rows of an item, for a common prefix as if all were of the first row's sequence. Returns the chunk.
    std::int64_t find_rows(BlockPlace& place, std::int64_t item, std::int64_t chunks) const;

    struct Blocks {
        std::int64_t begin, end;
    };
    Blocks of_head(std::int64_t head) const;

  private:
    std::int64_t find_own(BlockPlace& place, std::int64_t item, std::int64_t chunks) const;
    Item find_shared(BlockPlace* places, std::int64_t item, std::int64_t chunks) const;

    const AttentionCall& call_;
    const AttentionWorkspace& workspace_;
    const Part part_;
    SequenceSchedule shared_{};
};

}  // namespace headwise
