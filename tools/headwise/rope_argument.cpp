#include "rope_argument.hpp"

#include <fmt/format.h>

#include "key_values.hpp"
#include "memory_limit.hpp"

namespace headwise::tools {

RopeArgument parse_rope(std::string_view text) {
    static constexpr Names<RopePairs, 2> kPairs{{{"interleaved", RopePairs::interleaved}, {"half-split", RopePairs::half_split}}};
    KeyValues keys(fmt::format("--rope '{}'", text));
    keys.add(text);
    RopeArgument result;
    if (const std::int64_t dims = keys.whole("dims", 2, 512, 0); dims != 0) result.dims = dims;
    result.base = keys.number<double>("base").value_or(result.base);
    result.pairs = keys.name("pairs", kPairs, result.pairs);
    keys.finish("it");
    if (result.dims.value_or(2) % 2 != 0) throw keys.bad(fmt::format("dims is {}: expected an even number", *result.dims));
    if (!(result.base > 0)) throw keys.bad(fmt::format("base is {}: expected a number above 0", result.base));
    return result;
}

RopeTable make_rope_table(const RopeArgument& argument, std::int64_t head_dim, std::int64_t farthest) {
    const std::int64_t dims = argument.dims.value_or(head_dim);
    if (dims > head_dim || dims % 2 != 0) {
        throw UsageError(fmt::format("--rope turns {} dims of {}: expected an even number of at most that many", dims, head_dim));
    }
    const double bytes = static_cast<double>(sizeof(float)) * static_cast<double>(dims) * static_cast<double>(farthest + 1);
    if (const double limit = 0.8 * available_memory(); bytes > limit) {
        throw UsageError(fmt::format("--rope: a table up to position {} takes {:.3g} GB, more than the {:.3g} GB that are free",
                                     farthest, bytes / 1e9, limit / 1e9));
    }
    return RopeTable({.dims = dims, .base = argument.base, .pairs = argument.pairs}, farthest + 1);
}

}  // namespace headwise::tools
