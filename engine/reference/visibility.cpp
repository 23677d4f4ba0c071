#include "engine/reference/visibility.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "engine/reference/repeated.hpp"

namespace headwise::reference {

Visibility::Visibility(const Sequences& sequences, const AttentionOptions& options, const AttentionArguments& rules)
    : sequences_(sequences),
      options_(options),
      rules_(rules),
      has_masks_(rules.mask.data || rules.mask_bits.data || rules.block_mask.visible.data || rules.tree_parents.data ||
                 rules.bias.data) {}

void Visibility::list_keys(std::int64_t b, std::int64_t h, std::int64_t i, std::vector<std::int64_t>& keys) const {
    const auto [begin, end] = position_rules_allow(b, i);
    keys.resize(static_cast<std::size_t>(std::max<std::int64_t>(end - begin, 0)));
    std::iota(keys.begin(), keys.end(), begin);
    if (has_masks_) std::erase_if(keys, [&](std::int64_t j) { return !masks_allow(b, h, i, j); });
}

/// Causal, prefix and window: what they leave is a range, empty if end <= begin.
Visibility::KeyRange Visibility::position_rules_allow(std::int64_t b, std::int64_t i) const {
    // Counted in keys of the call, the first of which is 0.
    const std::int64_t keys = sequences_.keys(b), first = sequences_.key_position(b, 0),
                       position = sequences_.query_position(b, i) - first;
    KeyRange range{0, keys};
    if (options_.causal != Causal::none) {
        const std::int64_t prefix = rules_.prefix_lengths.empty() ? 0 : rules_.prefix_lengths[static_cast<std::size_t>(b)];
        range.end = std::clamp<std::int64_t>(prefix > 0 ? std::max(position + 1, prefix - first) : position + 1, 0, keys);
    }
    // Compared so that a bound may be as large as its type: position - left and position + right could overflow.
    const auto [left, right] = options_.window;
    if (left >= 0 && left < position) range.begin = position - left;
    if (right >= 0 && right < range.end - 1 - position) range.end = position + right + 1;
    return range;
}

bool Visibility::masks_allow(std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) const {
    if (rules_.mask.data && repeated_at(rules_.mask, b, h, i, j) == 0) return false;
    if (rules_.mask_bits.data) {
        const std::uint8_t byte = repeated_at(rules_.mask_bits, b, h, i, j / 8);
        if ((byte >> (j % 8) & 1) == 0) return false;
    }
    const BlockMask& blocks = rules_.block_mask;
    if (blocks.visible.data && repeated_at(blocks.visible, b, h, i / blocks.query_block, j / blocks.key_block) == 0) return false;
    if (rules_.bias.data && repeated_at(rules_.bias, b, h, i, j) == -std::numeric_limits<float>::infinity()) return false;
    return !rules_.tree_parents.data || tree_allows(b, i, j);
}

/// The queries are keys, too, of which the call may have only some: each sees all keys before them, its ancestors and itself.
bool Visibility::tree_allows(std::int64_t b, std::int64_t i, std::int64_t j) const {
    const std::int64_t node = j - sequences_.first_tree_key(b);
    if (node < 0) return true;
    std::int64_t ancestor = i;
    while (ancestor > node) ancestor = repeated_at(rules_.tree_parents, b, ancestor);  // parents come before their children
    return ancestor == node;
}

}  // namespace headwise::reference
