// Where the elements of a VariantCall lie, and which pairs its rules let meet.
#include <algorithm>

#include "tests/attention/variant_call.hpp"

namespace headwise::test {
namespace {

/// Where a row begins; an axis with one element is repeated.
template <class T>
auto* row_at(const TensorView<T, 4>& view, std::int64_t b, std::int64_t h, std::int64_t i) {
    const auto step = [&](std::size_t axis, std::int64_t index) { return view.extent[axis] == 1 ? 0 : index * view.stride[axis]; };
    return const_cast<std::remove_const_t<T>*>(view.data) + step(0, b) + step(1, h) + step(2, i);
}

}  // namespace

float* VariantCall::query(std::size_t b, std::int64_t h, std::int64_t i) const {
    const auto n = static_cast<std::int64_t>(b);
    return is_ragged(placing.packing) ? row_at(arguments.query, 0, h, query_sums_[n] + i) : row_at(arguments.query, n, h, i);
}

float* VariantCall::out(std::size_t b, std::int64_t h, std::int64_t i) const {
    const auto n = static_cast<std::int64_t>(b);
    return is_ragged(placing.packing) ? row_at(arguments.out, 0, h, query_sums_[n] + i) : row_at(arguments.out, n, h, i);
}

float& VariantCall::log_sum_exp(std::size_t b, std::int64_t h, std::int64_t i) const {
    const auto n = static_cast<std::int64_t>(b);
    const auto& view = arguments.log_sum_exp;
    const bool ragged = is_ragged(placing.packing);
    return view.data[(ragged ? 0 : n) * view.stride[0] + h * view.stride[1] + (ragged ? query_sums_[n] + i : i) * view.stride[2]];
}

float* VariantCall::token(const TensorView<const float, 4>& keys, std::size_t b, std::int64_t kv_head, std::int64_t j) const {
    const auto n = static_cast<std::int64_t>(b);
    if (is_paged(placing.packing)) {
        const std::int64_t page = page_table_[n * arguments.page_table.stride[0] + j / placing.page_size];
        return row_at(keys, page, kv_head, j % placing.page_size);
    }
    return is_ragged(placing.packing) ? row_at(keys, 0, kv_head, key_sums_[n] + j) : row_at(keys, n, kv_head, j);
}

float* VariantCall::key(std::size_t b, std::int64_t kv_head, std::int64_t j) const {
    return token(arguments.key, b, kv_head, j);
}

float* VariantCall::value(std::size_t b, std::int64_t kv_head, std::int64_t j) const {
    return token(arguments.value, b, kv_head, j);
}

float& VariantCall::bias(std::size_t b, std::int64_t h, std::int64_t i, std::int64_t j) const {
    return row_at(arguments.bias, static_cast<std::int64_t>(b), h, i)[j];
}

std::uint8_t& VariantCall::mask(std::size_t b, std::int64_t h, std::int64_t i, std::int64_t j) const {
    return row_at(arguments.mask, static_cast<std::int64_t>(b), h, i)[j];
}

std::vector<float> VariantCall::results(std::size_t b) const {
    std::vector<float> all;
    for (std::int64_t h = 0; h < shape.num_heads; ++h)
        for (std::int64_t i = 0; i < sequences[b].queries; ++i) all.insert(all.end(), out(b, h, i), out(b, h, i) + shape.value_dim);
    for (std::int64_t h = 0; h < shape.num_heads; ++h)
        for (std::int64_t i = 0; i < sequences[b].queries; ++i) all.push_back(log_sum_exp(b, h, i));
    return all;
}

std::vector<float> VariantCall::results() const {
    std::vector<float> all;
    for (std::size_t b = 0; b < sequences.size(); ++b) {
        const std::vector<float> some = results(b);
        all.insert(all.end(), some.begin(), some.end());
    }
    return all;
}

bool VariantCall::sees_by_position(std::size_t b, std::int64_t i, std::int64_t j) const {
    const SequenceSizes& s = sequences[b];
    const bool top_left =
        options.causal == Causal::none ? options.alignment == Alignment::top_left : options.causal == Causal::top_left;
    const std::int64_t position = i + (top_left ? 0 : s.keys - s.queries);
    const bool in_prefix = !arguments.prefix_lengths.empty() && j < arguments.prefix_lengths[b];
    if (options.causal != Causal::none && j > position && !in_prefix) return false;
    if (options.window.left >= 0 && j < position - options.window.left) return false;
    return options.window.right < 0 || j <= position + options.window.right;
}

bool VariantCall::sees_by_masks(std::size_t b, std::int64_t h, std::int64_t i, std::int64_t j) const {
    const auto n = static_cast<std::int64_t>(b);
    if (arguments.mask.data && mask(b, h, i, j) == 0) return false;
    if (arguments.mask_bits.data) {
        const std::uint8_t byte = row_at(arguments.mask_bits, n, h, i)[j / 8];
        if ((static_cast<unsigned>(byte) >> static_cast<unsigned>(j % 8) & 1u) == 0) return false;
    }
    const BlockMask& blocks = arguments.block_mask;
    if (blocks.visible.data && row_at(blocks.visible, n, h, i / blocks.query_block)[j / blocks.key_block] == 0) return false;
    if (!arguments.tree_parents.data) return true;
    const std::int64_t node = j - (sequences[b].keys - sequences[b].queries);
    std::int64_t ancestor = i;
    while (ancestor > node && ancestor >= 0)
        ancestor = arguments.tree_parents.data[n * arguments.tree_parents.stride[0] + ancestor];
    return node < 0 || ancestor == node;
}

bool VariantCall::sees(std::size_t b, std::int64_t h, std::int64_t i, std::int64_t j) const {
    if (!sees_by_position(b, i, j) || !sees_by_masks(b, h, i, j)) return false;
    if (arguments.bias.data && bias(b, h, i, j) == -kInfinity) return false;
    const ScoreFunction& f = arguments.score_function;
    return !f.apply ||
           f.apply_one(f.function, 0, static_cast<std::int64_t>(b), h, i, j) != -std::numeric_limits<double>::infinity();
}

bool VariantCall::padding_is_clear() const {
    if (is_ragged(placing.packing)) return true;
    bool clear = true;
    for (std::size_t b = 0; b < sequences.size(); ++b)
        for (std::int64_t h = 0; h < shape.num_heads; ++h)
            for (std::int64_t i = sequences[b].queries; i < shape.query_length; ++i) {
                clear &= std::all_of(out(b, h, i), out(b, h, i) + shape.value_dim, [](float x) { return x == 0; });
                clear &= log_sum_exp(b, h, i) == -kInfinity;
            }
    return clear;
}

}  // namespace headwise::test
