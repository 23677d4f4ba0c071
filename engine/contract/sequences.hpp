#pragma once

#include <algorithm>
#include <cstdint>

#include "headwise/attention.hpp"

namespace headwise {

/// Whether sequences are packed, one after another ("ragged").
inline bool is_ragged(const AttentionArguments& a) {
    return !a.cumulative_query_lengths.empty();
}

/// Whether keys and values are in pages.
inline bool is_paged(const AttentionArguments& a) {
    return a.page_table.data != nullptr;
}

/// One sequence of a call: how many tokens it has and where they begin. In dense and paged tensors each sequence has its own batch
/// index.
struct Sequence {
    std::int64_t queries, keys;
    std::int64_t query_batch, first_query;  ///< in query, out and log_sum_exp
    std::int64_t key_batch, first_key;      ///< in key and value, unless they are paged
};

/// Sequence `b` of checked arguments.
inline Sequence sequence_at(const AttentionArguments& a, std::int64_t b) {
    const auto i = static_cast<std::size_t>(b);
    Sequence s{a.query.extent[2], a.key.extent[2], b, 0, b, 0};
    if (!a.cumulative_query_lengths.empty()) {
        s.query_batch = 0;
        s.first_query = a.cumulative_query_lengths[i];
        s.queries = a.cumulative_query_lengths[i + 1] - s.first_query;
    }
    if (!a.cumulative_key_lengths.empty()) {
        s.key_batch = 0;
        s.first_key = a.cumulative_key_lengths[i];
        s.keys = a.cumulative_key_lengths[i + 1] - s.first_key;
    }
    if (!a.query_lengths.empty()) s.queries = a.query_lengths[i];
    if (!a.key_lengths.empty()) s.keys = a.key_lengths[i];
    return s;
}

/// The keys [begin, end) that a query may see by its position. Neither end falls from one query to the next.
struct KeyLimits {
    std::int64_t begin, end;
};

/// The positions of a sequence's tokens: query i is at first_query + i, key j at first_key + j.
struct Positions {
    std::int64_t first_query, first_key;

    /// Query i has the position of key i + offset().
    std::int64_t offset() const { return first_query - first_key; }
};

inline Positions positions_of(const AttentionOptions& options, const AttentionArguments& a, const Sequence& sequence,
                              std::int64_t b) {
    const auto i = static_cast<std::size_t>(b);
    const bool top_left =
        options.causal == Causal::none ? options.alignment == Alignment::top_left : options.causal == Causal::top_left;
    const std::int64_t first_key = a.first_key_positions.empty() ? 0 : a.first_key_positions[i];
    const std::int64_t aligned = first_key + (top_left ? 0 : sequence.keys - sequence.queries);
    return {a.first_query_positions.empty() ? aligned : a.first_query_positions[i], first_key};
}

/// The index of the key that is the tree's first node. Below 0, or beyond the last key, if the call does not have that key.
inline std::int64_t first_tree_key(const AttentionArguments& a, const Sequence& sequence, const Positions& positions) {
    return a.first_query_positions.empty() ? sequence.keys - sequence.queries : positions.offset();
}

/// The rules about positions for one sequence: which keys a query sees before masks apply.
class PositionRules {
  public:
    /// All queries see the keys at positions below `prefix`; 0: there are none.
    PositionRules(const AttentionOptions& options, const Positions& positions, std::int64_t keys, std::int64_t prefix)
        : causal_(options.causal != Causal::none),
          keys_(keys),
          prefix_(causal_ && prefix > 0 ? std::max<std::int64_t>(prefix - positions.first_key, 0) : 0),
          offset_(positions.offset()),
          left_(bound(options.window.left)),
          right_(bound(options.window.right)) {}

    /// Query i has the position of key i + offset().
    std::int64_t offset() const { return offset_; }

    bool limits() const { return causal_ || left_ >= 0 || right_ >= 0; }

    KeyLimits of(std::int64_t query) const {
        const std::int64_t position = query + offset_;
        std::int64_t end = causal_ ? std::max(position + 1, prefix_) : keys_;
        if (right_ >= 0) end = std::min(end, position + right_ + 1);
        end = std::clamp<std::int64_t>(end, 0, keys_);
        return {left_ >= 0 ? std::clamp<std::int64_t>(position - left_, 0, end) : 0, end};
    }

    /// The exact number of pairs that the queries [0, queries) may see.
    double pairs(std::int64_t queries) const {
        if (prefix_ > 0 && right_ >= 0) {
            double sum = 0;
            for (std::int64_t i = 0; i < queries; ++i) sum += static_cast<double>(of(i).end - of(i).begin);
            return sum;
        }
        // From query to query the ends rise by one between two bounds, and so do the begins.
        const std::int64_t fixed = std::min(prefix_, keys_);
        double ends = static_cast<double>(queries) * static_cast<double>(keys_);
        if (causal_)
            ends = static_cast<double>(queries) * static_cast<double>(fixed) + rising(queries, offset_ + 1 - fixed, keys_ - fixed);
        else if (right_ >= 0)
            ends = rising(queries, offset_ + right_ + 1, keys_);
        return ends - (left_ >= 0 ? rising(queries, offset_ - left_, keys_) : 0);
    }

  private:
    // The cap is beyond any position, and sums of positions and bounds stay far from overflow.
    static std::int64_t bound(std::int64_t x) { return std::min(x, std::int64_t{1} << 42); }

    /// The sum over i < n of clamp(i + first, 0, most).
    static double rising(std::int64_t n, std::int64_t first, std::int64_t most) {
        const std::int64_t low = std::clamp<std::int64_t>(-first, 0, n), high = std::clamp<std::int64_t>(most - first, low, n);
        const auto count = static_cast<double>(high - low);
        return count * static_cast<double>(low + first) + count * (count - 1) / 2 +
               static_cast<double>(n - high) * static_cast<double>(most);
    }

    bool causal_;
    std::int64_t keys_, prefix_, offset_, left_, right_;  // counted in keys of the call
};

inline PositionRules position_rules(const AttentionOptions& options, const AttentionArguments& arguments, const Sequence& sequence,
                                    std::int64_t b) {
    return {options, positions_of(options, arguments, sequence, b), sequence.keys,
            arguments.prefix_lengths.empty() ? 0 : arguments.prefix_lengths[static_cast<std::size_t>(b)]};
}

/// The number of leading keys that a sequence attends to together with others: the call's shared_keys, or 0 if some query does not
/// see them all by its position.
inline std::int64_t shared_keys_of(const AttentionOptions& options, const AttentionArguments& arguments, const Sequence& sequence,
                                   std::int64_t b) {
    const std::int64_t shared = arguments.shared_keys;
    if (shared == 0 || sequence.queries == 0) return 0;
    if (arguments.tree_parents.data && first_tree_key(arguments, sequence, positions_of(options, arguments, sequence, b)) < shared)
        return 0;
    const PositionRules rules = position_rules(options, arguments, sequence, b);
    return rules.of(0).end >= shared && rules.of(sequence.queries - 1).begin == 0 ? shared : 0;
}

}  // namespace headwise
