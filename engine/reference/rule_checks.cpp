#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "engine/reference/checks.hpp"
#include "engine/reference/repeated.hpp"
#include "engine/reference/sequences.hpp"
#include "engine/tensor/number_text.hpp"
#include "headwise/error.hpp"

namespace headwise::reference {
namespace {

void check_size(const char* name, std::size_t size, std::int64_t expected, const char* meaning) {
    if (static_cast<std::int64_t>(size) != expected)
        throw Error(std::string(name) + ".size() is " + std::to_string(size) + ", expected " + std::to_string(expected) + ": " +
                    meaning);
}

void check_entry(const char* name, std::int64_t at, std::int64_t value, std::int64_t low, std::int64_t high, const char* meaning) {
    if (value < low || value > high)
        throw Error(std::string(name) + "[" + std::to_string(at) + "] is " + std::to_string(value) + ": expected " +
                    std::to_string(low) + " to " + std::to_string(high) + ", " + meaning);
}

void check_lengths(const char* name, std::span<const std::int32_t> lengths, std::int64_t batch, std::int64_t most,
                   const char* meaning) {
    check_size(name, lengths.size(), batch, "one for each sequence");
    for (std::int64_t b = 0; b < batch; ++b) check_entry(name, b, lengths[static_cast<std::size_t>(b)], 0, most, meaning);
}

/// Sums of the lengths of `batch` sequences that lie in a tensor of `tokens`.
void check_cumulative(const char* name, const PrefixSums& sums, std::int64_t batch, std::int64_t tokens) {
    check_size(name, sums.size(), batch + 1, "one more than there are sequences");
    check_entry(name, 0, sums[0], 0, 0, "where the first sequence begins");
    for (std::int64_t b = 0; b < batch; ++b)
        check_entry(name, b + 1, sums[static_cast<std::size_t>(b + 1)], sums[static_cast<std::size_t>(b)], tokens,
                    "from the sum before it to the length of the tensor");
}

void check_one(const char* name, std::int64_t extent) {
    if (extent != 1) throw Error(std::string(name) + " is " + std::to_string(extent) + ", expected 1: sequences are packed");
}

/// What goes with what.
void check_combination(const AttentionArguments& rules, std::int64_t batch) {
    const bool packed_queries = !rules.cumulative_query_lengths.empty(), packed_keys = !rules.cumulative_key_lengths.empty();
    const bool paged = rules.page_table.data != nullptr;
    if (packed_keys && !packed_queries)
        throw Error("cumulative_key_lengths is given, cumulative_query_lengths is not: queries must be packed as the keys are");
    if (packed_queries && !packed_keys && !paged)
        throw Error("cumulative_query_lengths is given, cumulative_key_lengths is not: keys must be packed, too, or paged");
    if (packed_queries && !rules.query_lengths.empty())
        throw Error("query_lengths is given: cumulative_query_lengths already says how long the sequences are");
    if (paged && packed_keys) throw Error("cumulative_key_lengths is given: paged keys have key_lengths");
    if (paged && rules.key_lengths.empty() && batch > 0) throw Error("key_lengths is empty: paged keys need it");
}

void check_page_table(const TensorView<const std::int32_t, 2>& table, const Sequences& sequences, std::int64_t pages,
                      std::int64_t page_size) {
    for (std::int64_t b = 0; b < sequences.count(); ++b)
        for (std::int64_t j = 0; j < sequences.keys(b); j += page_size)
            if (const std::int32_t page = repeated_at(table, b, j / page_size); page < 0 || page >= pages)
                throw Error("page_table[" + std::to_string(b) + ", " + std::to_string(j / page_size) + "] is " +
                            std::to_string(page) + ": expected 0 to " + std::to_string(pages - 1) + ", a page of the pool");
}

void check_at_least(const std::string& name, std::int64_t extent, std::int64_t least, const char* meaning) {
    if (extent < least)
        throw Error(name + " is " + std::to_string(extent) + ": expected at least " + std::to_string(least) + ", " + meaning);
}

void check_one_or(const std::string& name, std::int64_t extent, std::int64_t other, const char* meaning) {
    if (extent != 1 && extent != other)
        throw Error(name + " is " + std::to_string(extent) + ": expected 1 or " + std::to_string(other) + ", " + meaning);
}

/// [batch or 1, num_heads or 1, rows or 1, columns]. Rows and columns may be more than are asked for: buffers are made for the
/// longest sequences.
template <class T>
void check_pairs(const char* name, const TensorView<T, 4>& view, std::int64_t batch, std::int64_t heads, std::int64_t rows,
                 const char* row_meaning, std::int64_t columns, const char* column_meaning) {
    if (!view.data) return;
    const auto axis = [name](int i) { return std::string(name) + ".extent[" + std::to_string(i) + "]"; };
    check_one_or(axis(0), view.extent[0], batch, "the number of sequences");
    check_one_or(axis(1), view.extent[1], heads, "the number of query heads");
    if (view.extent[2] != 1) check_at_least(axis(2), view.extent[2], rows, row_meaning);
    check_at_least(axis(3), view.extent[3], columns, column_meaning);
    checked_range(name, view);
}

void check_block_mask(const BlockMask& mask, std::int64_t batch, std::int64_t heads, std::int64_t queries, std::int64_t keys) {
    if (!mask.visible.data) return;
    check_at_least("block_mask.query_block", mask.query_block, 1, "the queries of a block");
    check_at_least("block_mask.key_block", mask.key_block, 1, "the keys of a block");
    const auto blocks = [](std::int64_t length, std::int64_t block) { return length / block + (length % block != 0 ? 1 : 0); };
    check_pairs("block_mask.visible", mask.visible, batch, heads, blocks(queries, mask.query_block), "the number of query blocks",
                blocks(keys, mask.key_block), "the number of key blocks");
}

/// [batch or 1, length]
void check_tokens(const char* name, const TensorView<const std::int32_t, 2>& view, std::int64_t batch, std::int64_t length) {
    check_one_or(std::string(name) + ".extent[0]", view.extent[0], batch, "the batch");
    check_at_least(std::string(name) + ".extent[1]", view.extent[1], length, "one for each token");
    checked_range(name, view);
}

void check_tree(const AttentionArguments& rules, const Sequences& sequences) {
    const TensorView<const std::int32_t, 2>& parents = rules.tree_parents;
    if (!parents.data) return;
    check_tokens("tree_parents", parents, sequences.count(), sequences.most_queries());
    for (std::int64_t b = 0; b < sequences.count(); ++b) {
        if (rules.first_query_positions.empty() && sequences.keys(b) < sequences.queries(b))
            throw Error("tree_parents is given, sequence " + std::to_string(b) + " has " + std::to_string(sequences.keys(b)) +
                        " keys: expected at least " + std::to_string(sequences.queries(b)) + ", its queries being its last keys");
        for (std::int64_t i = 0; i < sequences.queries(b); ++i)
            if (const std::int32_t parent = repeated_at(parents, b, i); parent < -1 || parent >= i)
                throw Error("tree_parents[" + std::to_string(b) + ", " + std::to_string(i) + "] is " + std::to_string(parent) +
                            ": expected -1 (a root) to " + std::to_string(i - 1) + ", a query before it");
    }
}

void check_head_values(const char* name, std::span<const float> values, std::int64_t heads) {
    if (!values.empty()) check_size(name, values.size(), heads, "one for each query head");
}

void check_rope(const Sequences& sequences, const Extents4& query, const AttentionOptions& options,
                const AttentionArguments& rules) {
    const auto &query_positions = rules.query_positions, &key_positions = rules.key_positions;
    if (!options.rope) {
        if (query_positions.data) throw Error("query_positions is given, options.rope is not: nothing is turned");
        if (key_positions.data) throw Error("key_positions is given, options.rope is not: nothing is turned");
        return;
    }
    if (const std::int64_t dims = options.rope->options().dims; dims > query[3])
        throw Error("options.rope's dims is " + std::to_string(dims) + ": expected at most " + std::to_string(query[3]) +
                    ", the head dimension");
    const std::int64_t batch = sequences.count();
    if (query_positions.data) {
        const bool packed = sequences.packed_queries();
        check_tokens("query_positions", query_positions, packed ? 1 : batch,
                     packed ? rules.cumulative_query_lengths[static_cast<std::size_t>(batch)] : sequences.most_queries());
    }
    if (key_positions.data) {
        const bool packed = sequences.packed_keys();
        check_tokens("key_positions", key_positions, packed ? 1 : batch,
                     packed ? rules.cumulative_key_lengths[static_cast<std::size_t>(batch)] : sequences.most_keys());
    }
}

}  // namespace

void check_sequences(const Extents4& query, const Extents4& key, const AttentionOptions& options, const AttentionArguments& rules) {
    const Sequences sequences(query, key, options, rules);
    const std::int64_t batch = sequences.count();
    check_combination(rules, batch);
    if (sequences.packed_queries()) {
        check_one("query.extent[0]", query[0]);
        check_cumulative("cumulative_query_lengths", rules.cumulative_query_lengths, batch, query[2]);
    }
    if (!rules.query_lengths.empty()) check_lengths("query_lengths", rules.query_lengths, batch, query[2], "query.extent[2]");

    if (sequences.paged()) {
        check_extent("page_table", rules.page_table, 0, batch, "the number of sequences");
        checked_range("page_table", rules.page_table);
        check_lengths("key_lengths", rules.key_lengths, batch, rules.page_table.extent[1] * key[2],
                      "page_table.extent[1] pages of key.extent[2] keys");
        check_page_table(rules.page_table, sequences, key[0], key[2]);
        return;
    }
    if (sequences.packed_keys()) {
        check_one("key.extent[0]", key[0]);
        check_cumulative("cumulative_key_lengths", rules.cumulative_key_lengths, batch, key[2]);
    } else if (key[0] != batch) {
        throw Error("key.extent[0] is " + std::to_string(key[0]) + ", expected " + std::to_string(batch) +
                    ": query.extent[0], the batch");
    }
    if (!rules.key_lengths.empty()) check_lengths("key_lengths", rules.key_lengths, batch, key[2], "key.extent[2]");
}

void check_rules(const Extents4& query, const Extents4& key, const AttentionOptions& options, const AttentionArguments& rules) {
    const Sequences sequences(query, key, options, rules);
    const std::int64_t batch = sequences.count(), heads = query[1];
    const std::int64_t queries = sequences.most_queries(), keys = sequences.most_keys();

    check_head_values("scales", rules.scales, heads);
    for (std::int64_t h = 0; h < static_cast<std::int64_t>(rules.scales.size()); ++h)
        if (const float scale = rules.scales[static_cast<std::size_t>(h)]; !std::isfinite(scale))
            throw Error("scales[" + std::to_string(h) + "] is " + number_text(scale) + ": it must be finite");
    check_head_values("alibi_slopes", rules.alibi_slopes, heads);
    check_head_values("sinks", rules.sinks, heads);
    if (rules.score_function.apply && !rules.score_function.apply_one)
        throw Error("score_function.apply_one is null: the reference calls it for each pair");
    check_rope(sequences, query, options, rules);

    constexpr const char* kQueries = "the most queries of a sequence";
    constexpr const char* kKeys = "the most keys of a sequence";
    check_pairs("bias", rules.bias, batch, heads, queries, kQueries, keys, kKeys);
    check_pairs("mask", rules.mask, batch, heads, queries, kQueries, keys, kKeys);
    check_pairs("mask_bits", rules.mask_bits, batch, heads, queries, kQueries, (keys + 7) / 8, "a byte for each 8 keys");
    check_block_mask(rules.block_mask, batch, heads, queries, keys);
    for (const auto& [name, positions] : {std::pair{"first_query_positions", rules.first_query_positions},
                                          std::pair{"first_key_positions", rules.first_key_positions}})
        if (!positions.empty()) check_size(name, positions.size(), batch, "one for each sequence");
    if (!rules.prefix_lengths.empty()) {
        check_size("prefix_lengths", rules.prefix_lengths.size(), batch, "one for each sequence");
        for (std::int64_t b = 0; b < batch; ++b)
            check_at_least("prefix_lengths[" + std::to_string(b) + "]", rules.prefix_lengths[static_cast<std::size_t>(b)], 0,
                           "a number of keys");
    }
    check_tree(rules, sequences);
}

}  // namespace headwise::reference
