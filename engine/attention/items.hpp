#pragma once

#include <cstdint>

#include "engine/attention/call.hpp"
#include "engine/attention/schedule.hpp"
#include "engine/attention/workspace.hpp"

namespace headwise {

/// How sequence b of a call is cut, for those of its keys that it attends to by itself.
SequenceSchedule schedule_of(const AttentionCall& call, const Sequence& sequence, std::int64_t b);

/// What blocks of one kind come to: of the sequences' own keys, or of those that they share.
struct AttentionWork {
    double flops, bytes;       ///< as in AttentionExplanation
    std::int64_t heads;        ///< key/value heads, of each sequence
    std::int64_t blocks;       ///< of rows, of all key/value heads
    std::int64_t chunks;       ///< of all blocks
    std::int64_t most_chunks;  ///< of one block
};
struct CallWork {
    AttentionWork shared, own;
};
CallWork count_work(const AttentionCall& call);

/// How the work is shared, and in how many items.
struct AttentionItems {
    std::int64_t count;
    WorkShare share;
};

/// Of the shared keys, which come first, and of the sequences' own.
struct CallItems {
    AttentionItems shared, own;
};

/// With room for so many states of split chunks.
CallItems share_items(const CallWork& work, AttentionSchedule schedule, const PartialStates& partial_states, int max_workers);

/// Plans the sequences, the costliest first, and numbers their items: fills sequences() and, where keys are shared,
/// first_shared_row() of the workspace, which is bound to memory.
void list_items(const AttentionCall& call, const CallItems& items, const AttentionWorkspace& workspace);

}  // namespace headwise
