#include "variants/variants.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>

#include "buffers/random_numbers.hpp"

namespace headwise::tools {
namespace {

constexpr std::uint64_t kSeed = 1;

/// A mask of bytes for all heads of all sequences: 1 where visible(i, j).
template <class Visible>
TensorView<const std::uint8_t, 4> byte_mask(VariantWorkload& w, std::int64_t rows, std::int64_t columns, Visible visible) {
    const std::span<std::uint8_t> mask = w.memory.bytes(rows * columns);
    for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = 0; j < columns; ++j) mask[static_cast<std::size_t>(i * columns + j)] = visible(i, j) ? 1 : 0;
    return {mask.data(), {1, 1, rows, columns}};
}

/// A number for each head, from(h).
template <class From>
std::span<const float> per_head(VariantWorkload& w, From from) {
    const std::span<float> values = w.memory.zeros(w.variant.shape.num_heads);
    for (std::size_t h = 0; h < values.size(); ++h) values[h] = static_cast<float>(from(static_cast<double>(h)));
    return values;
}

template <class T>
void shuffle(std::span<T> values, RandomNumbers& random) {
    for (std::int64_t i = std::ssize(values) - 1; i > 0; --i)
        std::swap(values[static_cast<std::size_t>(i)], values[static_cast<std::size_t>(random.between(0, i))]);
}

}  // namespace

void add_mask(VariantWorkload& w, double visible) {
    RandomNumbers random(kSeed);
    const AttentionShape& s = w.variant.shape;
    w.variant.arguments.mask = byte_mask(w, s.query_length, s.key_length, [&](auto, auto) { return random.chance(visible); });
}

void add_mask_bits(VariantWorkload& w, double visible) {
    RandomNumbers random(kSeed);
    const AttentionShape& s = w.variant.shape;
    const std::int64_t bytes = (s.key_length + 7) / 8;
    const std::span<std::uint8_t> mask = w.memory.bytes(s.query_length * bytes);
    for (std::uint8_t& byte : mask)
        for (unsigned bit = 0; bit < 8; ++bit) byte = static_cast<std::uint8_t>(byte | (random.chance(visible) ? 1u << bit : 0u));
    w.variant.arguments.mask_bits = {mask.data(), {1, 1, s.query_length, bytes}};
}

void add_block_mask(VariantWorkload& w, double visible, std::int64_t block) {
    RandomNumbers random(kSeed);
    const AttentionShape& s = w.variant.shape;
    const auto blocks = [&](std::int64_t length) { return (length + block - 1) / block; };
    w.variant.arguments.block_mask = {
        .visible = byte_mask(w, blocks(s.query_length), blocks(s.key_length), [&](auto, auto) { return random.chance(visible); }),
        .query_block = block,
        .key_block = block};
}

void add_bias(VariantWorkload& w) {
    const AttentionShape& s = w.variant.shape;
    w.variant.arguments.bias = {w.memory.random_floats(s.query_length * s.key_length).data(), {1, 1, s.query_length, s.key_length}};
}

void causal_by_mask(VariantWorkload& w) {
    const AttentionShape& s = w.variant.shape;
    w.variant.options.causal = Causal::none;
    w.variant.arguments.mask = byte_mask(w, s.query_length, s.key_length,
                                         [&](std::int64_t i, std::int64_t j) { return j <= i + s.key_length - s.query_length; });
}

void add_key_lengths(VariantWorkload& w) {
    const std::span<std::int32_t> lengths = w.memory.integers(w.variant.shape.batch);
    std::ranges::fill(lengths, static_cast<std::int32_t>(w.variant.shape.key_length));
    w.variant.arguments.key_lengths = lengths;
}

void add_wide_window(VariantWorkload& w) {
    const std::int64_t all = w.variant.shape.query_length + w.variant.shape.key_length;
    w.variant.options.window = {.left = all, .right = all};
}

void add_alibi(VariantWorkload& w) {
    // Press et al. 2022: 2^(-8 (h + 1) / heads).
    const double heads = static_cast<double>(w.variant.shape.num_heads);
    w.variant.arguments.alibi_slopes = per_head(w, [&](double h) { return std::exp2(-8 * (h + 1) / heads); });
}

void add_softcap(VariantWorkload& w) {
    w.variant.options.softcap = 50;  // as Gemma 2 has it
}

void add_sinks(VariantWorkload& w) {
    w.variant.arguments.sinks = per_head(w, [](double h) { return h / 4; });
}

void add_scales(VariantWorkload& w) {
    const double scale = 1 / std::sqrt(static_cast<double>(w.variant.shape.head_dim));
    w.variant.arguments.scales = per_head(w, [&](double h) { return scale * (1 + h / 16); });
}

void add_log_sum_exp(VariantWorkload& w) {
    const AttentionShape& s = w.variant.shape;
    w.variant.arguments.log_sum_exp = {w.memory.zeros(s.batch * s.num_heads * s.query_length).data(),
                                       {s.batch, s.num_heads, s.query_length}};
}

void add_window(VariantWorkload& w, std::int64_t left) {
    w.variant.options.window.left = left;
}

void tree_instead_of_causal(VariantWorkload& w) {
    RandomNumbers random(kSeed);
    const std::span<std::int32_t> parents = w.memory.integers(w.variant.shape.query_length);
    for (std::int64_t i = 0; i < std::ssize(parents); ++i)
        parents[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(random.between(std::max<std::int64_t>(i - 4, -1), i - 1));
    w.variant.options.causal = Causal::none;
    w.variant.arguments.tree_parents = {parents.data(), {1, std::ssize(parents)}};
}

void put_into_pages(VariantWorkload& w, std::int64_t page_size) {
    RandomNumbers random(kSeed);
    const AttentionShape& s = w.variant.shape;
    const std::int64_t most = (s.key_length + page_size - 1) / page_size, pages = s.batch * most;
    const auto pool = [&](std::int64_t dim) {
        return bhsd<const float>(w.memory.random_floats(pages * s.num_kv_heads * page_size * dim).data(), pages, s.num_kv_heads,
                                 page_size, dim);
    };
    w.variant.arguments.key = pool(s.head_dim);
    w.variant.arguments.value = pool(s.value_dim);
    const std::span<std::int32_t> table = w.memory.integers(pages);
    std::iota(table.begin(), table.end(), 0);
    shuffle(table, random);
    w.variant.arguments.page_table = {table.data(), {s.batch, most}};
    add_key_lengths(w);
}

void share_prefix(VariantWorkload& w, std::int64_t page_size, std::int64_t shared_keys) {
    RandomNumbers random(kSeed);
    const AttentionShape& s = w.variant.shape;
    AttentionArguments& a = w.variant.arguments;
    const std::int64_t shared = shared_keys / page_size, most = (s.key_length + page_size - 1) / page_size;
    const std::int64_t pages = shared + s.batch * (most - shared);
    const auto pool = [&](std::int64_t dim) {
        return bhsd<const float>(w.memory.random_floats(pages * s.num_kv_heads * page_size * dim).data(), pages, s.num_kv_heads,
                                 page_size, dim);
    };
    a.key = pool(s.head_dim);
    a.value = pool(s.value_dim);
    const std::span<std::int32_t> order = w.memory.integers(pages), table = w.memory.integers(s.batch * most);
    std::iota(order.begin(), order.end(), 0);
    shuffle(order, random);
    for (std::int64_t b = 0; b < s.batch; ++b)
        for (std::int64_t i = 0; i < most; ++i)
            table[static_cast<std::size_t>(b * most + i)] =
                order[static_cast<std::size_t>(i < shared ? i : i + b * (most - shared))];
    a.page_table = {table.data(), {s.batch, most}};
    add_key_lengths(w);
    w.plain.arguments = a;
    a.shared_keys = shared_keys;
    w.variant.options.shared_prefix = true;
}

void put_heads_inside(VariantWorkload& w) {
    const AttentionShape& s = w.variant.shape;
    AttentionArguments& a = w.variant.arguments;
    const auto random = [&](std::int64_t heads, std::int64_t length, std::int64_t dim) {
        return bshd<const float>(w.memory.random_floats(s.batch * heads * length * dim).data(), s.batch, length, heads, dim);
    };
    a.query = random(s.num_heads, s.query_length, s.head_dim);
    a.key = random(s.num_kv_heads, s.key_length, s.head_dim);
    a.value = random(s.num_kv_heads, s.key_length, s.value_dim);
    a.out = bshd(a.out.data, s.batch, s.query_length, s.num_heads, s.value_dim);
}

void pack_query_key_value(VariantWorkload& w) {
    const AttentionShape& s = w.variant.shape;
    AttentionArguments& a = w.variant.arguments;
    const std::int64_t model_dim = s.num_heads * s.head_dim, length = s.query_length;
    const float* packed = w.memory.random_floats(s.batch * length * 3 * model_dim).data();
    const auto part = [&](std::int64_t index) {
        return TensorView<const float, 4>(packed + index * model_dim, {s.batch, s.num_heads, length, s.head_dim},
                                          {length * 3 * model_dim, s.head_dim, 3 * model_dim, 1});
    };
    a.query = part(0);
    a.key = part(1);
    a.value = part(2);
    a.out = bshd(a.out.data, s.batch, length, s.num_heads, s.value_dim);
}

void make_ragged(VariantWorkload& w) {
    RandomNumbers random(kSeed);
    AttentionShape& s = w.variant.shape;
    AttentionArguments& a = w.variant.arguments;
    const std::int64_t count = s.batch, tokens = s.batch * s.query_length, longest = 2 * s.query_length;
    const std::span<std::int32_t> lengths = w.memory.integers(count), sums = w.memory.integers(count + 1);
    for (std::int64_t b = 0; b < count; ++b)
        lengths[static_cast<std::size_t>(b)] =
            static_cast<std::int32_t>(1 + b * (longest - 1) / std::max<std::int64_t>(count - 1, 1));
    // Rounding and the odd sum of 1 and twice the length: a sequence of middle length makes up for them.
    lengths[lengths.size() / 2] += static_cast<std::int32_t>(tokens - std::accumulate(lengths.begin(), lengths.end(), 0));
    shuffle(lengths, random);
    std::partial_sum(lengths.begin(), lengths.end(), sums.begin() + 1);
    const auto packed = [&](std::int64_t heads, std::int64_t dim) {
        return bshd<const float>(w.memory.random_floats(tokens * heads * dim).data(), 1, tokens, heads, dim);
    };
    a.query = packed(s.num_heads, s.head_dim);
    a.key = packed(s.num_kv_heads, s.head_dim);
    a.value = packed(s.num_kv_heads, s.value_dim);
    a.out = bshd(a.out.data, 1, tokens, s.num_heads, s.value_dim);
    a.cumulative_query_lengths = a.cumulative_key_lengths = PrefixSums(std::span<const std::int32_t>(sums));
    s.query_length = s.key_length = std::ranges::max(lengths);
}

}  // namespace headwise::tools
