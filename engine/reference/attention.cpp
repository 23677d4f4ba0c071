#include <limits>

#include "engine/reference/attention_head.hpp"
#include "engine/reference/checks.hpp"
#include "engine/reference/row.hpp"
#include "engine/reference/sequences.hpp"
#include "headwise/reference.hpp"

namespace headwise::reference {
namespace {

template <class T>
void fill(const TensorView<T, 4>& view, T x) {
    for (std::int64_t b = 0; b < view.extent[0]; ++b)
        for (std::int64_t h = 0; h < view.extent[1]; ++h)
            for (std::int64_t i = 0; i < view.extent[2]; ++i) {
                const Row<T> to = row(view, b, h, i);
                for (std::int64_t d = 0; d < view.extent[3]; ++d) to[d] = x;
            }
}

}  // namespace

template <class T>
void attention(const TensorView<const T, 4>& query, const TensorView<const T, 4>& key, const TensorView<const T, 4>& value,
               const TensorView<T, 4>& out, const AttentionOptions& options, const AttentionArguments& rules,
               const TensorView<T, 3>& log_sum_exp) {
    check_attention(query, key, value, out, options, rules, log_sum_exp);
    // Where the sums begin; rows that belong to no query of a sequence stay so.
    fill(out, T(0));
    if (log_sum_exp.data) fill(in_rows(log_sum_exp), -std::numeric_limits<T>::infinity());

    const AttentionCall<T> call(query, key, options, rules);
    const Sequences& sequences = call.sequences;
    const std::int64_t value_dim = value.extent[3];
    KeyWeights<T> seen;
    for (std::int64_t b = 0; b < sequences.count(); ++b)
        for (std::int64_t h = 0; h < call.heads(); ++h) {
            const AttentionHead<T> head(call, b, h);
            const SequenceRows<const T> values = sequences.key_rows(value, b, call.kv_head(h));
            const SequenceRows<T> results = sequences.query_rows(out, b, h);
            const SequenceRows<T> logs = sequences.query_rows(in_rows(log_sum_exp), b, h);
            for (std::int64_t i = 0; i < sequences.queries(b); ++i) {
                head.weigh(i, seen);
                // out = sum over the keys of weight * value; 0 where no key is seen.
                const Row<T> o = results[i];
                for (std::size_t n = 0; n < seen.keys.size(); ++n) {
                    const T weight = seen.weights[n];
                    const Row<const T> v = values[seen.keys[n]];
                    for (std::int64_t d = 0; d < value_dim; ++d) o[d] += weight * v[d];
                }
                if (log_sum_exp.data) logs[i][0] = seen.log_sum_exp;
            }
        }
}

template <class T>
void attention_weights(const TensorView<const T, 4>& query, const TensorView<const T, 4>& key, const TensorView<T, 4>& weights,
                       const AttentionOptions& options, const AttentionArguments& rules) {
    check_attention_weights(query, key, weights, options, rules);
    fill(weights, T(0));

    const AttentionCall<T> call(query, key, options, rules);
    KeyWeights<T> seen;
    for (std::int64_t b = 0; b < call.sequences.count(); ++b)
        for (std::int64_t h = 0; h < call.heads(); ++h) {
            const AttentionHead<T> head(call, b, h);
            const SequenceRows<T> results = call.sequences.query_rows(weights, b, h);
            for (std::int64_t i = 0; i < call.sequences.queries(b); ++i) {
                head.weigh(i, seen);
                const Row<T> w = results[i];
                for (std::size_t n = 0; n < seen.keys.size(); ++n) w[seen.keys[n]] = seen.weights[n];
            }
        }
}

// One list of the two types that the reference exists for.
#define HEADWISE_INSTANTIATE(T)                                                                                                    \
    template void attention(const TensorView<const T, 4>&, const TensorView<const T, 4>&, const TensorView<const T, 4>&,           \
                            const TensorView<T, 4>&, const AttentionOptions&, const AttentionArguments&, const TensorView<T, 3>&); \
    template void attention_weights(const TensorView<const T, 4>&, const TensorView<const T, 4>&, const TensorView<T, 4>&,         \
                                    const AttentionOptions&, const AttentionArguments&);
HEADWISE_INSTANTIATE(float)
HEADWISE_INSTANTIATE(double)
#undef HEADWISE_INSTANTIATE

}  // namespace headwise::reference
