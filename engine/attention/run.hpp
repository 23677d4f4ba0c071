#pragma once

#include "engine/attention/items.hpp"
#include "engine/attention/workspace.hpp"

namespace headwise {

/// Runs all items of a call on their workers.
void run_attention(const AttentionCall& call, const CallItems& items, const AttentionWorkspace& workspace);

}  // namespace headwise
