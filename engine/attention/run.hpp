#pragma once

#include "engine/attention/schedule.hpp"
#include "engine/attention/workspace.hpp"
#include "headwise/attention.hpp"

namespace headwise {

/// One checked call of attention().
struct AttentionCall {
    const AttentionShape& shape;  ///< with the key length of this run
    Causal causal;
    float scale;
    const TensorView<const float, 4>&query, &key, &value;
    const TensorView<float, 4>& out;
};

/// Runs the schedule's items on its workers. `workspace` is bound to memory.
void run_attention(const AttentionCall& call, const AttentionSchedule& schedule, const AttentionWorkspace& workspace);

}  // namespace headwise
