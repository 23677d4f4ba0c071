#include "engine/attention/call.hpp"

#include <algorithm>

#include "engine/tensor/steps.hpp"

namespace headwise {

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
    for (std::size_t i = 1; i < sums.size(); ++i) shape.query_length = std::max(shape.query_length, sums[i] - sums[i - 1]);
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
