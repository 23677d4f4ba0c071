#pragma once

#include <cstdint>

#include "engine/attention/call.hpp"
#include "engine/attention/schedule.hpp"
#include "engine/attention/workspace.hpp"

namespace headwise {

/// How sequence b is cut, for the keys that it attends to by itself.
SequenceSchedule schedule_of(const AttentionCall& call, const Sequence& sequence, std::int64_t b);

/// The work in the blocks of one part of a call: the sequences' own keys, or a common prefix.
struct AttentionWork {
    double flops, bytes;       ///< as in AttentionExplanation
    std::int64_t heads;        ///< key/value heads, summed over the sequences
    std::int64_t blocks;       ///< of rows, summed over all key/value heads
    std::int64_t chunks;       ///< of all blocks
    std::int64_t most_chunks;  ///< of one block
};
struct CallWork {
    AttentionWork shared, own;
};
CallWork count_work(const AttentionCall& call);

/// How the work is shared out, and into how many items.
struct AttentionItems {
    std::int64_t count;
    WorkShare share;
};

/// The items of the common prefix, which come first, and of the sequences' own keys.
struct CallItems {
    AttentionItems shared, own;
};

/// `partial_states` says how many states of split chunks there is room for.
CallItems share_items(const CallWork& work, AttentionSchedule schedule, const PartialStates& partial_states, int max_workers);

/// Plans the sequences, the most expensive first, and numbers their items: fills sequences() and, with a common prefix,
/// first_shared_row() of the workspace, which is bound to memory.
void list_items(const AttentionCall& call, const CallItems& items, const AttentionWorkspace& workspace);

}  // namespace headwise
