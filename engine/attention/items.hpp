#pragma once

#include <cstdint>

#include "engine/attention/call.hpp"
#include "engine/attention/schedule.hpp"
#include "engine/attention/workspace.hpp"

namespace headwise {

/// What all sequences of a call come to.
struct AttentionWork {
    double flops, bytes;       ///< as in AttentionExplanation
    std::int64_t blocks;       ///< of rows, of all key/value heads
    std::int64_t chunks;       ///< of all blocks
    std::int64_t most_chunks;  ///< of one block
};
AttentionWork count_work(const AttentionCall& call);

/// How the work is shared, and in how many items.
struct AttentionItems {
    std::int64_t count;
    WorkShare share;
};

/// With room for so many states of split chunks.
AttentionItems share_items(const AttentionWork& work, std::int64_t partial_states, int max_workers);

/// Orders the sequences, the costliest first, and numbers their items: fills order() and first_item() of the workspace, which is
/// bound to memory.
void list_items(const AttentionCall& call, const AttentionItems& items, const AttentionWorkspace& workspace);

}  // namespace headwise
