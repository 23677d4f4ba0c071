#pragma once

#include <optional>
#include <string_view>

#include "headwise/rope.hpp"

namespace headwise::tools {

/// --rope KEY=VALUE,...
struct RopeArgument {
    std::optional<std::int64_t> dims;  ///< unless given: the head dimension
    double base = 10000;
    RopePairs pairs = RopePairs::half_split;
};

/// Reads "dims=64,base=10000,pairs=interleaved", of which any part may be missing. Throws UsageError naming option and key.
RopeArgument parse_rope(std::string_view text);

/// The angles of all positions from -farthest to farthest. Throws UsageError where dims does not fit the head dimension or the
/// table not into memory.
RopeTable make_rope_table(const RopeArgument& argument, std::int64_t head_dim, std::int64_t farthest);

}  // namespace headwise::tools
