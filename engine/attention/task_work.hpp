#pragma once

#include "engine/attention/call.hpp"
#include "engine/attention/place.hpp"
#include "engine/runtime/profile.hpp"

namespace headwise {

/// Pairs of a row of one sequence and a key that it may see by its position, of `keys` out of those that its schedule cuts: all of
/// them, or a chunk.
double visible_pairs(const AttentionCall& call, const BlockPlace& place, KeyLimits keys);

/// What a record tells of some rows and all keys that their schedule cuts, or with `split` a chunk of them. For shared keys
/// the rows are those of sequences that share these keys, all of which each of them sees.
runtime::TaskLabel task_label(const AttentionCall& call, const BlockPlace& place, bool split, std::int64_t chunk);
runtime::TaskLabel shared_task_label(const AttentionCall& call, const BlockPlace& place, bool split, std::int64_t chunk);

}  // namespace headwise
