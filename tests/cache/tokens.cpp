#include "tests/cache/tokens.hpp"

#include <algorithm>
#include <limits>

namespace headwise::test {
namespace {

void add_token(Row& row, const TensorView<const float, 4>& tensor, std::int64_t entry, std::int64_t slot) {
    for (std::int64_t h = 0; h < tensor.extent[1]; ++h)
        for (std::int64_t d = 0; d < tensor.extent[3]; ++d) row.push_back(element(tensor, entry, h, slot, d));
}

}  // namespace

Tokens::Tokens(RandomNumbers& random, const KvCacheShape& shape, std::int64_t n, const Layout& key_layout,
               const Layout& value_layout)
    : key({1, shape.num_kv_heads, n, shape.head_dim}, key_layout, Guard::above),
      value({1, shape.num_kv_heads, n, shape.value_dim == 0 ? shape.head_dim : shape.value_dim}, value_layout, Guard::above) {
    key.fill_normal(random, 1);
    value.fill_normal(random, 1);
}

Rows rows_of(const Tokens& tokens) {
    Rows rows(static_cast<std::size_t>(tokens.key.view().extent[2]));
    for (std::size_t i = 0; i < rows.size(); ++i) {
        add_token(rows[i], tokens.key.view(), 0, static_cast<std::int64_t>(i));
        add_token(rows[i], tokens.value.view(), 0, static_cast<std::int64_t>(i));
    }
    return rows;
}

Rows rows_of(const KvCache& cache, SequenceId sequence) {
    const KvBatch batch = cache.make_batch({&sequence, 1});
    const TensorView<const std::int32_t, 2> table = batch.page_table();
    const std::int64_t page_size = cache.shape().page_size;
    Rows rows(static_cast<std::size_t>(batch.key_lengths()[0]));
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const auto position = static_cast<std::int64_t>(i);
        const std::int32_t page = table.data[position / page_size * table.stride[1]];
        add_token(rows[i], cache.key_pages(), page, position % page_size);
        add_token(rows[i], cache.value_pages(), page, position % page_size);
    }
    return rows;
}

void poison(KvCache& cache) {
    const KvCacheShape& shape = cache.shape();
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const std::int64_t tokens = shape.pages * shape.page_size;
    std::vector<float> row(static_cast<std::size_t>(std::max(shape.head_dim, shape.value_dim)), nan);
    const SequenceId sequence = cache.add_sequence();
    cache.append(sequence, {row.data(), {shape.num_kv_heads, tokens, shape.head_dim}, {0, 0, 1}},
                 {row.data(), {shape.num_kv_heads, tokens, shape.value_dim}, {0, 0, 1}});
    cache.remove(sequence);
}

}  // namespace headwise::test
