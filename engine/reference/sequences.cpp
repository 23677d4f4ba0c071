#include "engine/reference/sequences.hpp"

#include <algorithm>

#include "engine/reference/repeated.hpp"

namespace headwise::reference {
namespace {

bool positions_from_top_left(const AttentionOptions& options) {
    if (options.causal == Causal::none) return options.alignment == Alignment::top_left;
    return options.causal == Causal::top_left;
}

std::int64_t length(const PrefixSums& sums, std::int64_t b) {
    const auto i = static_cast<std::size_t>(b);
    return sums[i + 1] - sums[i];
}

}  // namespace

Sequences::Sequences(const Extents& query, const Extents& key, const AttentionOptions& options, const AttentionArguments& rules)
    : query_(query), key_(key), top_left_(positions_from_top_left(options)), rules_(rules) {}

std::int64_t Sequences::count() const {
    return packed_queries() ? static_cast<std::int64_t>(rules_.cumulative_query_lengths.size()) - 1 : query_[0];
}

std::int64_t Sequences::queries(std::int64_t b) const {
    if (packed_queries()) return length(rules_.cumulative_query_lengths, b);
    if (!rules_.query_lengths.empty()) return rules_.query_lengths[static_cast<std::size_t>(b)];
    return query_[2];
}

std::int64_t Sequences::keys(std::int64_t b) const {
    if (!rules_.key_lengths.empty()) return rules_.key_lengths[static_cast<std::size_t>(b)];
    if (packed_keys()) return length(rules_.cumulative_key_lengths, b);
    return key_[2];
}

std::int64_t Sequences::most_queries() const {
    std::int64_t most = 0;
    for (std::int64_t b = 0; b < count(); ++b) most = std::max(most, queries(b));
    return most;
}

std::int64_t Sequences::most_keys() const {
    std::int64_t most = 0;
    for (std::int64_t b = 0; b < count(); ++b) most = std::max(most, keys(b));
    return most;
}

std::int64_t Sequences::key_position(std::int64_t b, std::int64_t j) const {
    return j + (rules_.first_key_positions.empty() ? 0 : rules_.first_key_positions[static_cast<std::size_t>(b)]);
}

std::int64_t Sequences::query_position(std::int64_t b, std::int64_t i) const {
    if (!rules_.first_query_positions.empty()) return i + rules_.first_query_positions[static_cast<std::size_t>(b)];
    return key_position(b, top_left_ ? i : i + keys(b) - queries(b));
}

std::int64_t Sequences::first_tree_key(std::int64_t b) const {
    return rules_.first_query_positions.empty() ? keys(b) - queries(b) : query_position(b, 0) - key_position(b, 0);
}

std::int64_t Sequences::query_rope_position(std::int64_t b, std::int64_t i) const {
    if (!rules_.query_positions.data) return query_position(b, i);
    return repeated_at(rules_.query_positions, packed_queries() ? 0 : b, first_query(b) + i);
}

std::int64_t Sequences::key_rope_position(std::int64_t b, std::int64_t j) const {
    if (!rules_.key_positions.data) return key_position(b, j);
    return repeated_at(rules_.key_positions, packed_keys() ? 0 : b, first_key(b) + j);
}

std::int64_t Sequences::first_query(std::int64_t b) const {
    return packed_queries() ? rules_.cumulative_query_lengths[static_cast<std::size_t>(b)] : 0;
}

std::int64_t Sequences::first_key(std::int64_t b) const {
    return packed_keys() ? rules_.cumulative_key_lengths[static_cast<std::size_t>(b)] : 0;
}

}  // namespace headwise::reference
