#include "engine/contract/check_values.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "engine/contract/check_numbers.hpp"
#include "engine/contract/check_shape.hpp"
#include "engine/contract/sequences.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

void check_pages(const AttentionShape& shape, const AttentionArguments& a) {
    if (!is_paged(a)) return;
    const TensorView<const std::int32_t, 2>& table = a.page_table;
    const std::int64_t page_size = a.key.extent[2];
    for (std::int64_t b = 0; b < shape.batch; ++b) {
        const std::int64_t keys = a.key_lengths[static_cast<std::size_t>(b)];
        if (keys == 0) continue;
        if (page_size < 1) throw Error("key.extent[2] is 0: expected the number of keys in a page");
        const std::int64_t pages = (keys + page_size - 1) / page_size;
        if (pages > table.extent[1])
            throw Error(at("key_lengths", b) + " is " + std::to_string(keys) + ", in " + std::to_string(pages) + " pages of " +
                        std::to_string(page_size) + ": page_table.extent[1] is " + std::to_string(table.extent[1]));
        for (std::int64_t i = 0; i < pages; ++i) {
            const std::int32_t page = table.data[b * table.stride[0] + i * table.stride[1]];
            if (page < 0 || page >= a.key.extent[0])
                throw Error(at("page_table", b, i) + " is " + std::to_string(page) + ": expected a page, 0 to " +
                            std::to_string(a.key.extent[0] - 1));
        }
    }
}

/// Checks that all batches of a view of keys begin at the same address.
void check_repeated(const char* name, const AnyTensor& view, std::int64_t shared_keys) {
    if (!view.data || view.extent[0] <= 1 || view.stride[0] == 0) return;
    throw Error("shared_keys is " + std::to_string(shared_keys) + ", " + name + ".stride[0] is " + std::to_string(view.stride[0]) +
                ", " + name + ".extent[0] is " + std::to_string(view.extent[0]) + ": expected a stride of 0 or an extent of 1");
}

/// Checks that the common prefix is the same memory, at the same positions, for all sequences.
void check_shared_keys(const AttentionShape& shape, const CallTensors& tensors, const AttentionArguments& a) {
    const std::int64_t shared = a.shared_keys;
    if (shared == 0 || shape.batch == 0) return;
    check_repeated("key_positions", a.key_positions, shared);
    for (std::size_t b = 1; b < a.first_key_positions.size(); ++b)
        if (a.first_key_positions[b] != a.first_key_positions[0])
            throw Error(at("first_key_positions", static_cast<std::int64_t>(b)) + " is " +
                        std::to_string(a.first_key_positions[b]) + ", first_key_positions[0] is " +
                        std::to_string(a.first_key_positions[0]) + ": the positions of shared_keys, " + std::to_string(shared) +
                        ", must be the same");
    if (!is_paged(a)) {
        check_repeated("key", tensors.key, shared);
        if (tensors.value.rank > 0) check_repeated("value", tensors.value, shared);
        return;
    }
    const std::int64_t page_size = a.key.extent[2];
    if (shared % page_size != 0)
        throw Error("shared_keys is " + std::to_string(shared) + ": expected a multiple of key.extent[2], " +
                    std::to_string(page_size) + " keys in a page");
    const TensorView<const std::int32_t, 2>& table = a.page_table;
    for (std::int64_t b = 1; b < shape.batch; ++b)
        for (std::int64_t i = 0; i < shared / page_size; ++i)
            if (const std::int32_t first = table.data[i * table.stride[1]],
                page = table.data[b * table.stride[0] + i * table.stride[1]];
                page != first)
                throw Error(at("page_table", b, i) + " is " + std::to_string(page) + ", page_table[0, " + std::to_string(i) +
                            "] is " + std::to_string(first) + ": the pages of shared_keys, " + std::to_string(shared) +
                            ", must be the same");
}

void check_tree(const AttentionShape& shape, const AttentionArguments& a) {
    const TensorView<const std::int32_t, 2>& parents = a.tree_parents;
    if (!parents.data) return;
    for (std::int64_t b = 0; b < shape.batch && a.first_query_positions.empty(); ++b)
        if (const Sequence s = sequence_at(a, b); s.keys < s.queries)
            throw Error("tree_parents is given, sequence " + std::to_string(b) + " has " + std::to_string(s.keys) +
                        " keys: expected at least " + std::to_string(s.queries) + ", as the queries are its last keys");
    for (std::int64_t b = 0; b < shape.batch; ++b)
        for (std::int64_t i = 0; i < sequence_at(a, b).queries; ++i) {
            const std::int32_t parent = parents.data[b * (parents.extent[0] == 1 ? 0 : parents.stride[0]) + i * parents.stride[1]];
            if (parent < -1 || parent >= i)
                throw Error(at("tree_parents", b, i) + " is " + std::to_string(parent) + ": expected -1 or an earlier query");
        }
}

/// Checks the given positions that RoPE looks up.
void check_positions(const char* name, const TensorView<const std::int32_t, 2>& view, std::int64_t most) {
    if (!view.data) return;
    for (std::int64_t b = 0; b < view.extent[0]; ++b)
        for (std::int64_t i = 0; i < view.extent[1]; ++i) {
            const std::int64_t position = view.data[b * (view.extent[0] == 1 ? 0 : view.stride[0]) + i * view.stride[1]];
            if (position <= -most || position >= most)
                throw Error(at(name, b, i) + " is " + std::to_string(position) + ": options.rope has " + std::to_string(most) +
                            " positions");
        }
}

void check_rope(const AttentionShape& shape, const AttentionOptions& options, const AttentionArguments& a) {
    if (!options.rope) {
        if (a.query_positions.data || a.key_positions.data)
            throw Error("query_positions or key_positions is given but options.rope is null: without RoPE nothing is rotated");
        return;
    }
    const std::int64_t most = options.rope->positions();
    check_positions("query_positions", a.query_positions, most);
    check_positions("key_positions", a.key_positions, most);
    for (std::int64_t b = 0; b < shape.batch; ++b) {
        const Sequence s = sequence_at(a, b);
        const Positions positions = positions_of(options, a, s, b);
        const auto farthest_of = [](std::int64_t first, std::int64_t count) {
            return count == 0 ? 0 : std::max(std::abs(first), std::abs(first + count - 1));
        };
        const std::int64_t farthest = std::max(a.key_positions.data ? 0 : farthest_of(positions.first_key, s.keys),
                                               a.query_positions.data ? 0 : farthest_of(positions.first_query, s.queries));
        if (farthest >= most)
            throw Error("options.rope has " + std::to_string(most) + " positions: sequence " + std::to_string(b) + " goes up to " +
                        std::to_string(farthest));
    }
}

}  // namespace

void check_values(const AttentionShape& shape, const AttentionOptions& options, const CallTensors& tensors,
                  const AttentionArguments& a) {
    for (std::size_t h = 0; h < a.scales.size(); ++h)
        if (!is_scale(options, a.scales[h])) check_scale(at("scales", static_cast<std::int64_t>(h)), options, a.scales[h]);
    check_pages(shape, a);
    check_shared_keys(shape, tensors, a);
    check_tree(shape, a);
    check_rope(shape, options, a);
}

}  // namespace headwise
