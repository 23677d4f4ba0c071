#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/reference/logit_rules.hpp"
#include "engine/reference/rotation.hpp"
#include "engine/reference/sequences.hpp"
#include "engine/reference/softmax_row.hpp"
#include "engine/reference/visibility.hpp"
#include "headwise/attention.hpp"
#include "headwise/attention_arguments.hpp"

namespace headwise::reference {

/// One call of attention before it comes to values: its queries, keys and rules. All must outlive it.
template <class T>
struct AttentionCall {
    AttentionCall(const TensorView<const T, 4>& query_, const TensorView<const T, 4>& key_, const AttentionOptions& options,
                  const AttentionArguments& rules)
        : query(query_),
          key(key_),
          rope(options.rope ? &options.rope->options() : nullptr),
          sequences(query.extent, key.extent, options, rules),
          visibility(sequences, options, rules),
          logit_rules(head_dim(), sequences, options, rules) {}
    AttentionCall(const AttentionCall&) = delete;  // its members refer to one another
    AttentionCall& operator=(const AttentionCall&) = delete;

    std::int64_t heads() const { return query.extent[1]; }
    std::int64_t head_dim() const { return query.extent[3]; }
    std::int64_t kv_head(std::int64_t h) const { return h / (query.extent[1] / key.extent[1]); }

    TensorView<const T, 4> query, key;
    const RopeOptions* rope;
    Sequences sequences;
    Visibility visibility;
    LogitRules<T> logit_rules;
};

/// The keys that one query sees, in ascending order, and what each weighs.
template <class T>
struct KeyWeights {
    std::vector<std::int64_t> keys;
    std::vector<T> weights;
    T log_sum_exp = 0;
};

/// Query head h of sequence b.
template <class T>
class AttentionHead {
  public:
    AttentionHead(const AttentionCall<T>& call, std::int64_t b, std::int64_t h)
        : call_(call),
          b_(b),
          h_(h),
          queries_(call.sequences.query_rows(call.query, b, h)),
          keys_(call.sequences.key_rows(call.key, b, call.kv_head(h))) {
        if (call.rope) turn_rows();
    }
    AttentionHead(const AttentionHead&) = delete;  // rows may lie in its own vectors
    AttentionHead& operator=(const AttentionHead&) = delete;

    /// weights[n] = softmax over n of the logit of query i and key keys[n]. Keys that are not seen are not even read.
    void weigh(std::int64_t i, KeyWeights<T>& result) const {
        auto& [keys, weights, log_sum_exp] = result;
        call_.visibility.list_keys(b_, h_, i, keys);
        weights.resize(keys.size());
        const Row<const T> q = queries_[i];
        const std::int64_t head_dim = call_.head_dim();
        const T scale = call_.logit_rules.scale(h_);
        for (std::size_t n = 0; n < keys.size(); ++n) {
            const Row<const T> k = keys_[keys[n]];
            T dot = 0;
            for (std::int64_t d = 0; d < head_dim; ++d) dot += q[d] * k[d];
            weights[n] = scale * dot;
        }
        call_.logit_rules.apply(b_, h_, i, keys, weights);
        log_sum_exp = softmax_row(Row<T>{weights.data(), 1}, static_cast<std::int64_t>(weights.size()), call_.logit_rules.sink(h_));
    }

  private:
    void turn_rows() {
        const Sequences& s = call_.sequences;
        const std::int64_t dim = call_.head_dim();
        turned_queries_ =
            turned_rows(queries_, s.queries(b_), dim, *call_.rope, [&](std::int64_t i) { return s.query_rope_position(b_, i); });
        turned_keys_ = turned_rows(keys_, s.keys(b_), dim, *call_.rope, [&](std::int64_t j) { return s.key_rope_position(b_, j); });
        queries_ = {turned_queries_.data(), dim, 1};
        keys_ = {turned_keys_.data(), dim, 1};
    }

    const AttentionCall<T>& call_;
    std::int64_t b_, h_;
    SequenceRows<const T> queries_, keys_;
    std::vector<T> turned_queries_, turned_keys_;
};

}  // namespace headwise::reference
