#include "engine/attention/check_arguments.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>

#include "engine/attention/check.hpp"
#include "engine/attention/sequences.hpp"
#include "engine/tensor/memory_range.hpp"
#include "engine/tensor/view_check.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

std::string at(const char* name, std::int64_t i) {
    return std::string(name) + "[" + std::to_string(i) + "]";
}

/// Of the element `index` of an array, or of a number (index -1). Builds no string unless it throws: run() allocates nothing.
void check_range(const char* name, std::int64_t index, std::int64_t value, std::int64_t low, std::int64_t high,
                 const char* meaning) {
    if (value < low || value > high)
        throw Error((index < 0 ? std::string(name) : at(name, index)) + " is " + std::to_string(value) + ": expected " +
                    std::to_string(low) + " to " + std::to_string(high) + ", " + meaning);
}

void check_size(const char* name, std::size_t size, std::int64_t expected, const char* meaning) {
    if (static_cast<std::int64_t>(size) != expected)
        throw Error(std::string(name) + ".size() is " + std::to_string(size) + ", expected " + std::to_string(expected) + ": " +
                    meaning);
}

/// Each of the batch's lengths, where there are any.
void check_each_length(const char* name, std::span<const std::int32_t> lengths, std::int64_t batch, std::int64_t most,
                       const char* meaning) {
    if (lengths.empty()) return;
    check_size(name, lengths.size(), batch, "one for each sequence of the batch");
    for (std::int64_t b = 0; b < batch; ++b) check_range(name, b, lengths[static_cast<std::size_t>(b)], 0, most, meaning);
}

void check_first_positions(const char* name, std::span<const std::int64_t> positions, std::int64_t batch) {
    if (positions.empty()) return;
    check_size(name, positions.size(), batch, "one for each sequence of the batch");
    for (std::int64_t b = 0; b < batch; ++b)
        check_range(name, b, positions[static_cast<std::size_t>(b)], -kMaxLength, kMaxLength, "a position");
}

void check_sums(const char* name, const PrefixSums& sums, std::int64_t batch, std::int64_t total, std::int64_t longest,
                const char* total_name) {
    check_size(name, sums.size(), batch + 1, "0 and one sum for each sequence of the batch");
    if (sums[0] != 0) throw Error(at(name, 0) + " is " + std::to_string(sums[0]) + ": the sums begin with 0");
    for (std::int64_t b = 0; b < batch; ++b) {
        const std::int64_t sum = sums[static_cast<std::size_t>(b)], next = sums[static_cast<std::size_t>(b) + 1];
        if (next < sum)
            throw Error(at(name, b + 1) + " is " + std::to_string(next) + ", " + at(name, b) + " is " + std::to_string(sum) +
                        ": the sums must not fall");
        if (next - sum > longest)
            throw Error(at(name, b + 1) + " is " + std::to_string(next) + ", " + at(name, b) + " is " + std::to_string(sum) +
                        ": a sequence may have at most " + std::to_string(longest) + " tokens, as planned");
    }
    const std::int64_t last = sums[static_cast<std::size_t>(batch)];
    if (last != total)
        throw Error(at(name, batch) + " is " + std::to_string(last) + ", " + total_name + " is " + std::to_string(total) +
                    ": the sums end with the total");
}

bool is_ragged(const AttentionArguments& a) {
    return !a.cumulative_query_lengths.empty();
}
bool is_paged(const AttentionArguments& a) {
    return a.page_table.data != nullptr;
}

}  // namespace

void check_length_arguments(const AttentionArguments& a) {
    if (is_ragged(a) && !a.query_lengths.empty())
        throw Error("query_lengths and cumulative_query_lengths are both given: expected one of them");
    if (!a.key_lengths.empty() && !a.cumulative_key_lengths.empty())
        throw Error("key_lengths and cumulative_key_lengths are both given: expected one of them");
    const bool has_sequences = is_ragged(a) ? a.cumulative_query_lengths.size() > 1 : a.query.extent[0] > 0;
    if (is_paged(a) && a.key_lengths.empty() && has_sequences)
        throw Error("key_lengths is empty: with page_table it tells how many keys there are");
    if (is_ragged(a) && !is_paged(a) && a.cumulative_key_lengths.empty())
        throw Error("cumulative_key_lengths is empty: with cumulative_query_lengths it tells where the keys of a sequence are");
    if (!is_ragged(a) && !a.cumulative_key_lengths.empty())
        throw Error("cumulative_query_lengths is empty: with cumulative_key_lengths it tells where the queries of a sequence are");
    if (a.shared_keys != 0 && !a.cumulative_key_lengths.empty())
        throw Error("shared_keys is " + std::to_string(a.shared_keys) +
                    ", cumulative_key_lengths is given: keys that lie one behind the other are not shared");
}

namespace {

/// Of the longest sequence.
struct Longest {
    std::int64_t queries = 0, keys = 0;
};

Longest longest_of(const AttentionShape& shape, const AttentionArguments& a) {
    Longest longest;
    for (std::int64_t b = 0; b < shape.batch; ++b) {
        const Sequence sequence = sequence_at(a, b);
        longest.queries = std::max(longest.queries, sequence.queries);
        longest.keys = std::max(longest.keys, sequence.keys);
    }
    return longest;
}

/// Checks all inputs other than query, key and value, and that nothing written overlaps them.
class InputChecker {
  public:
    InputChecker(const AttentionShape& shape, const AttentionArguments& a, std::span<const Written> written)
        : shape_(shape), a_(a), longest_(longest_of(shape, a)), written_(written) {}

    void check_heads(const char* name, std::span<const float> values) {
        if (values.empty()) return;
        check_size(name, values.size(), shape_.num_heads, "one for each query head");
        apart(name, memory_range(values));
    }

    /// [batch or 1, heads or 1, queries or 1, keys], in units of so many queries and keys.
    template <class T>
    void check_pairs(const char* name, const TensorView<const T, 4>& view, std::int64_t query_unit, std::int64_t key_unit) {
        if (!view.data) return;
        const auto units = [](std::int64_t length, std::int64_t unit) { return (length + unit - 1) / unit; };
        broadcast(name, view, 0, shape_.batch, "the batch", true);
        broadcast(name, view, 1, shape_.num_heads, "the number of query heads", true);
        broadcast(name, view, 2, units(query_length(), query_unit), "the queries", !is_ragged(a_));
        const std::int64_t keys = units(key_length(), key_unit);
        if (exact_keys() ? view.extent[3] != keys : view.extent[3] < keys)
            throw Error(at((std::string(name) + ".extent").c_str(), 3) + " is " + std::to_string(view.extent[3]) + ", expected " +
                        (exact_keys() ? "" : "at least ") + std::to_string(keys) + ": the keys");
        check_unit_stride(name, view);
        apart(name, memory_range(view, checked_range(name, view)));
    }

    /// [batch or 1, tokens]
    void check_tokens(const char* name, const TensorView<const std::int32_t, 2>& view, std::int64_t batch, std::int64_t length) {
        if (!view.data) return;
        broadcast(name, view, 0, batch, "the batch", true);
        if (view.extent[1] < length)
            throw Error(std::string(name) + ".extent[1] is " + std::to_string(view.extent[1]) + ", expected at least " +
                        std::to_string(length) + ": a number for each token");
        check_unit_stride(name, view);
        apart(name, memory_range(view, checked_range(name, view)));
    }

    const Longest& longest() const { return longest_; }

    void apart(const char* name, const MemoryRange& in) const {
        for (const Written& w : written_) check_apart(w.name, w.memory, name, in);
    }

  private:
    bool exact_keys() const { return !is_ragged(a_) && !is_paged(a_); }
    std::int64_t query_length() const { return is_ragged(a_) ? longest_.queries : shape_.query_length; }
    std::int64_t key_length() const { return exact_keys() ? a_.key.extent[2] : longest_.keys; }

    template <class T, std::size_t Rank>
    static void broadcast(const char* name, const TensorView<T, Rank>& view, std::size_t axis, std::int64_t expected,
                          const char* meaning, bool exact) {
        const std::int64_t extent = view.extent[axis];
        if (extent == 1 || (exact ? extent == expected : extent >= expected)) return;
        throw Error(std::string(name) + ".extent[" + std::to_string(axis) + "] is " + std::to_string(extent) + ", expected 1 or " +
                    (exact ? "" : "at least ") + std::to_string(expected) + ": " + meaning);
    }

    const AttentionShape& shape_;
    const AttentionArguments& a_;
    const Longest longest_;
    const std::span<const Written> written_;
};

void check_pages(const AttentionShape& shape, const AttentionArguments& a, InputChecker& inputs) {
    if (!is_paged(a)) return;
    const TensorView<const std::int32_t, 2>& table = a.page_table;
    check_extent("page_table", table, 0, shape.batch, "the batch of the plan");
    check_unit_stride("page_table", table);
    inputs.apart("page_table", memory_range(table, checked_range("page_table", table)));
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
            const std::int32_t page = table.data[b * table.stride[0] + i];
            if (page < 0 || page >= a.key.extent[0])
                throw Error("page_table[" + std::to_string(b) + ", " + std::to_string(i) + "] is " + std::to_string(page) +
                            ": expected a page, 0 to " + std::to_string(a.key.extent[0] - 1));
        }
    }
}

/// Where batch b of a view of keys begins does not depend on b.
template <class T, std::size_t Rank>
void check_repeated(const char* name, const TensorView<T, Rank>& view, std::int64_t shared_keys) {
    if (!view.data || view.extent[0] <= 1 || view.stride[0] == 0) return;
    throw Error("shared_keys is " + std::to_string(shared_keys) + ", " + name + ".stride[0] is " + std::to_string(view.stride[0]) +
                ", " + name + ".extent[0] is " + std::to_string(view.extent[0]) + ": expected a stride of 0 or an extent of 1");
}

/// The shared keys lie at the same place for all sequences.
void check_shared_keys(const AttentionShape& shape, const AttentionArguments& a) {
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
        check_repeated("key", a.key, shared);
        return;
    }
    const std::int64_t page_size = a.key.extent[2];
    if (shared % page_size != 0)
        throw Error("shared_keys is " + std::to_string(shared) + ": expected a multiple of key.extent[2], " +
                    std::to_string(page_size) + " keys in a page");
    const TensorView<const std::int32_t, 2>& table = a.page_table;
    for (std::int64_t b = 1; b < shape.batch; ++b)
        for (std::int64_t i = 0; i < shared / page_size; ++i)
            if (const std::int32_t first = table.data[i], page = table.data[b * table.stride[0] + i]; page != first)
                throw Error("page_table[" + std::to_string(b) + ", " + std::to_string(i) + "] is " + std::to_string(page) +
                            ", page_table[0, " + std::to_string(i) + "] is " + std::to_string(first) +
                            ": the pages of shared_keys, " + std::to_string(shared) + ", must be the same");
}

void check_tree(const AttentionShape& shape, const AttentionArguments& a) {
    const TensorView<const std::int32_t, 2>& parents = a.tree_parents;
    if (!parents.data) return;
    for (std::int64_t b = 0; b < shape.batch && a.first_query_positions.empty(); ++b)
        if (const Sequence s = sequence_at(a, b); s.keys < s.queries)
            throw Error("tree_parents is given, sequence " + std::to_string(b) + " has " + std::to_string(s.keys) +
                        " keys: expected at least " + std::to_string(s.queries) + ", as the queries are its last keys");
    for (std::int64_t b = 0; b < (parents.extent[0] == 1 ? std::min<std::int64_t>(shape.batch, 1) : shape.batch); ++b)
        for (std::int64_t i = 0; i < parents.extent[1]; ++i) {
            const std::int32_t parent = parents.data[b * (parents.extent[0] == 1 ? 0 : parents.stride[0]) + i];
            if (parent < -1 || parent >= i)
                throw Error("tree_parents[" + std::to_string(b) + ", " + std::to_string(i) + "] is " + std::to_string(parent) +
                            ": expected -1 or an earlier query");
        }
}

/// The positions that RoPE looks up.
void check_positions(const char* name, const TensorView<const std::int32_t, 2>& view, std::int64_t most) {
    if (!view.data) return;
    for (std::int64_t b = 0; b < view.extent[0]; ++b)
        for (std::int64_t i = 0; i < view.extent[1]; ++i) {
            const std::int64_t position = view.data[b * (view.extent[0] == 1 ? 0 : view.stride[0]) + i];
            if (position <= -most || position >= most)
                throw Error(std::string(name) + "[" + std::to_string(b) + ", " + std::to_string(i) + "] is " +
                            std::to_string(position) + ": options.rope has " + std::to_string(most) + " positions");
        }
}

void check_rope(const AttentionShape& shape, const AttentionOptions& options, const AttentionArguments& a) {
    if (!options.rope) {
        if (a.query_positions.data || a.key_positions.data)
            throw Error("options.rope is null: query_positions and key_positions belong to it");
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

void check_block_mask(const BlockMask& mask) {
    if (!mask.visible.data) return;
    check_range("block_mask.query_block", -1, mask.query_block, 1, kMaxLength, "queries in a block");
    check_range("block_mask.key_block", -1, mask.key_block, 1, kMaxLength, "keys in a block");
}

}  // namespace

void check_lengths(const AttentionShape& shape, const AttentionOptions& options, const AttentionArguments& a) {
    if (is_ragged(a)) {
        check_sums("cumulative_query_lengths", a.cumulative_query_lengths, shape.batch, a.query.extent[2], shape.query_length,
                   "query.extent[2]");
        if (!a.cumulative_key_lengths.empty())
            check_sums("cumulative_key_lengths", a.cumulative_key_lengths, shape.batch, a.key.extent[2], kMaxLength,
                       "key.extent[2]");
    }
    check_each_length("query_lengths", a.query_lengths, shape.batch, shape.query_length, "the queries of the tensor");
    check_each_length("key_lengths", a.key_lengths, shape.batch, is_paged(a) ? kMaxLength : a.key.extent[2],
                      "the keys of the tensor");
    check_each_length("prefix_lengths", a.prefix_lengths, shape.batch, kMaxLength, "keys");
    check_first_positions("first_query_positions", a.first_query_positions, shape.batch);
    check_first_positions("first_key_positions", a.first_key_positions, shape.batch);
    if (a.shared_keys == 0) return;
    check_range("shared_keys", -1, a.shared_keys, 0, kMaxLength, "keys");
    if (!options.shared_prefix)
        throw Error("shared_keys is " + std::to_string(a.shared_keys) + ": expected 0, as options.shared_prefix is false");
    for (std::int64_t b = 0; b < shape.batch; ++b)
        if (const Sequence s = sequence_at(a, b); s.keys < a.shared_keys)
            throw Error("shared_keys is " + std::to_string(a.shared_keys) + ": sequence " + std::to_string(b) + " has only " +
                        std::to_string(s.keys) + " keys");
}

void check_inputs(const AttentionShape& shape, const AttentionOptions& options, const AttentionArguments& a,
                  std::span<const Written> written) {
    InputChecker inputs(shape, a, written);
    inputs.check_heads("scales", a.scales);
    for (std::size_t h = 0; h < a.scales.size(); ++h)
        if (!is_scale(options, a.scales[h])) check_scale(at("scales", static_cast<std::int64_t>(h)), options, a.scales[h]);
    inputs.check_heads("alibi_slopes", a.alibi_slopes);
    inputs.check_heads("sinks", a.sinks);
    inputs.check_pairs("bias", a.bias, 1, 1);
    inputs.check_pairs("mask", a.mask, 1, 1);
    inputs.check_pairs("mask_bits", a.mask_bits, 1, 8);
    check_block_mask(a.block_mask);
    inputs.check_pairs("block_mask.visible", a.block_mask.visible, a.block_mask.query_block, a.block_mask.key_block);
    inputs.check_tokens("tree_parents", a.tree_parents, shape.batch, inputs.longest().queries);
    // As the tokens themselves lie, packed or not; pages are looked up by sequence.
    inputs.check_tokens("query_positions", a.query_positions, a.query.extent[0], a.query.extent[2]);
    inputs.check_tokens("key_positions", a.key_positions, is_paged(a) ? shape.batch : a.key.extent[0],
                        is_paged(a) ? inputs.longest().keys : a.key.extent[2]);
    inputs.apart("query_lengths", memory_range(a.query_lengths));
    inputs.apart("key_lengths", memory_range(a.key_lengths));
    inputs.apart("cumulative_query_lengths", memory_range(a.cumulative_query_lengths.bytes()));
    inputs.apart("cumulative_key_lengths", memory_range(a.cumulative_key_lengths.bytes()));
    inputs.apart("prefix_lengths", memory_range(a.prefix_lengths));
    inputs.apart("first_query_positions", memory_range(a.first_query_positions));
    inputs.apart("first_key_positions", memory_range(a.first_key_positions));
    check_pages(shape, a, inputs);
    check_shared_keys(shape, a);
    check_tree(shape, a);
    check_rope(shape, options, a);
}

MemoryRange check_log_sum_exp(const AttentionArguments& a) {
    check_extent("log_sum_exp", a.log_sum_exp, 0, a.query.extent[0], "the batch of query");
    check_extent("log_sum_exp", a.log_sum_exp, 1, a.query.extent[1], "the heads of query");
    check_extent("log_sum_exp", a.log_sum_exp, 2, a.query.extent[2], "the length of query");
    return memory_range(a.log_sum_exp, checked_range("log_sum_exp", a.log_sum_exp));
}

void check_arguments(const AttentionShape& shape, const AttentionOptions& options, const AttentionArguments& a) {
    check_length_arguments(a);
    const CheckedKeys checked = check_query_and_key(shape, a);
    const MemoryRange out = check_value_and_out(shape, a, checked);
    check_lengths(shape, options, a);
    Written written[] = {{"out", out}, {"log_sum_exp", {}}};
    if (a.log_sum_exp.data) {
        const MemoryRange log_sum_exp = check_log_sum_exp(a);
        written[1].memory = log_sum_exp;
        check_no_self_overlap("log_sum_exp", a.log_sum_exp);
        check_apart("out", out, "log_sum_exp", log_sum_exp);
        check_apart("log_sum_exp", log_sum_exp, "query", memory_range(a.query, checked.query));
        check_apart("log_sum_exp", log_sum_exp, "key", memory_range(a.key, checked.key));
        check_apart("log_sum_exp", log_sum_exp, "value", memory_range(a.value, checked_range("value", a.value)));
    }
    check_inputs(shape, options, a, written);
    if (a.shared_keys > 0 && !is_paged(a)) check_repeated("value", a.value, a.shared_keys);
}

}  // namespace headwise
