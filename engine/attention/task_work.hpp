#pragma once

#include "engine/attention/call.hpp"
#include "engine/attention/place.hpp"
#include "engine/runtime/profile.hpp"

namespace headwise {

/// The number of (row, key) pairs of one sequence that positions allow, with `keys` all keys of its schedule or one chunk.
double visible_pairs(const AttentionCall& call, const BlockPlace& place, KeyLimits keys);

/// The description of some rows in a record, with all keys of their schedule or, with `split`, one chunk. For a common prefix the
/// rows are of the sequences that share it, and each sees all of these keys.
runtime::TaskLabel task_label(const AttentionCall& call, const BlockPlace& place, bool split, std::int64_t chunk);
runtime::TaskLabel shared_task_label(const AttentionCall& call, const BlockPlace& place, bool split, std::int64_t chunk);

}  // namespace headwise
