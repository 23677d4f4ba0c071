#pragma once

#include "engine/attention/items.hpp"

namespace headwise {

/// What a run with these arguments would do.
AttentionExplanation explain_attention(const AttentionCall& call, const AttentionWorkspace& workspace, Isa isa, int max_workers);

}  // namespace headwise
