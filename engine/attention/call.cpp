#include "engine/attention/call.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/tensor/steps.hpp"

namespace headwise {
namespace {

double logit_unit_of(const AttentionOptions& options, const AttentionArguments& arguments) {
    if (options.softcap != 0) return 2 * std::numbers::log2e / static_cast<double>(options.softcap);
    return arguments.score_function.apply ? 1 : std::numbers::log2e;
}

}  // namespace

AttentionCall::AttentionCall(const AttentionShape& planned, const AttentionOptions& given, const AttentionArguments& checked,
                             const KernelTable& table)
    : shape(planned),
      options(given),
      arguments(checked),
      kernels(table),
      group(planned.num_heads / planned.num_kv_heads),
      logit_unit(logit_unit_of(given, checked)),
      common_query_scale(
          query_scale(given.scale.value_or(static_cast<float>(1 / std::sqrt(static_cast<double>(planned.head_dim)))))) {}

AttentionShape shape_of(const AttentionArguments& a) {
    AttentionShape shape{.batch = a.query.extent[0],
                         .num_heads = a.query.extent[1],
                         .num_kv_heads = a.key.extent[1],
                         .query_length = a.query.extent[2],
                         .key_length = a.key.extent[2],
                         .head_dim = a.query.extent[3],
                         .value_dim = a.value.extent[3]};
    const PrefixSums& sums = a.cumulative_query_lengths;
    if (sums.empty()) return shape;
    shape.batch = static_cast<std::int64_t>(sums.size()) - 1;
    shape.query_length = 0;
    // Sums that fall or go beyond the tensor are refused later, with their names; their differences may exceed 64 bits.
    for (std::size_t i = 1; i < sums.size(); ++i)
        if (0 <= sums[i - 1] && sums[i - 1] <= sums[i] && sums[i] <= a.query.extent[2])
            shape.query_length = std::max(shape.query_length, sums[i] - sums[i - 1]);
    return shape;
}

AttentionArguments with_usable_strides(AttentionArguments a) {
    a.query = without_unused_strides(a.query);
    a.key = without_unused_strides(a.key);
    a.value = without_unused_strides(a.value);
    a.bias = without_unused_strides(a.bias);
    a.mask = without_unused_strides(a.mask);
    a.mask_bits = without_unused_strides(a.mask_bits);
    a.block_mask.visible = without_unused_strides(a.block_mask.visible);
    a.tree_parents = without_unused_strides(a.tree_parents);
    a.query_positions = without_unused_strides(a.query_positions);
    a.key_positions = without_unused_strides(a.key_positions);
    return a;
}

}  // namespace headwise
