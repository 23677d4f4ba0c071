#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/contract/check_arguments.hpp"
#include "headwise/attention_weights.hpp"

namespace headwise {

/// The chosen heads of one key/value head: numbers [first, first + count) in the list of chosen heads.
struct ChosenHead {
    std::int64_t first, count;
};

/// The heads and queries of a request, or all if it names none.
class ChosenRows {
  public:
    /// Throws Error unless both lists are ascending indices of heads and queries.
    ChosenRows(const AttentionShape& shape, const AttentionWeightsRequest& request);

    const AttentionWeightsRequest& request() const { return request_; }
    std::int64_t heads() const { return request_.heads.empty() ? shape_.num_heads : std::ssize(request_.heads); }
    std::int64_t queries() const { return request_.queries.empty() ? shape_.query_length : std::ssize(request_.queries); }

    std::int64_t head(std::int64_t i) const { return request_.heads.empty() ? i : request_.heads[static_cast<std::size_t>(i)]; }
    std::int64_t query(std::int64_t i) const {
        return request_.queries.empty() ? i : request_.queries[static_cast<std::size_t>(i)];
    }

    /// How many of the chosen queries are below `queries`.
    std::int64_t count_below(std::int64_t queries) const {
        if (request_.queries.empty()) return std::min(queries, shape_.query_length);
        return std::ranges::lower_bound(request_.queries, queries) - request_.queries.begin();
    }

    ChosenHead of(std::int64_t kv_head) const {
        const std::int64_t group = shape_.num_heads / shape_.num_kv_heads, first = kv_head * group;
        if (request_.heads.empty()) return {first, group};
        const auto from = std::ranges::lower_bound(request_.heads, first),
                   to = std::ranges::lower_bound(request_.heads, first + group);
        return {from - request_.heads.begin(), to - from};
    }

  private:
    const AttentionShape& shape_;
    const AttentionWeightsRequest& request_;
};

/// Throws Error if results do not fit, or overlap an input or one another.
void check_weights(const AttentionShape& shape, const AttentionOptions& options, const CallTensors& tensors,
                   const AttentionArguments& arguments, const ChosenRows& chosen, const AttentionWeights& results);

}  // namespace headwise
