#include "arguments/rope.hpp"

#include <fmt/format.h>

#include "text/key_values.hpp"

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
    return RopeTable({.dims = dims, .base = argument.base, .pairs = argument.pairs}, farthest + 1);
}

}  // namespace headwise::tools
