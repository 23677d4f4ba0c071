#include <cmath>
#include <string>

#include "engine/reference/checks.hpp"
#include "engine/reference/row.hpp"
#include "engine/reference/sequences.hpp"
#include "engine/tensor/number_text.hpp"
#include "headwise/error.hpp"

namespace headwise::reference {
namespace {

void check_options(const AttentionOptions& options) {
    if (options.scale && !std::isfinite(*options.scale))
        throw Error("options.scale is " + number_text(*options.scale) + ": it must be finite");
    if (options.causal != Causal::none && options.causal != Causal::top_left && options.causal != Causal::bottom_right)
        throw Error("options.causal is " + std::to_string(static_cast<int>(options.causal)) + ": not a value of Causal");
    if (options.alignment != Alignment::bottom_right && options.alignment != Alignment::top_left)
        throw Error("options.alignment is " + std::to_string(static_cast<int>(options.alignment)) + ": not a value of Alignment");
    const auto check_bound = [](const char* name, std::int64_t bound) {
        if (bound < -1) throw Error(std::string(name) + " is " + std::to_string(bound) + ": expected -1 (no bound) or more");
    };
    check_bound("options.window.left", options.window.left);
    check_bound("options.window.right", options.window.right);
    if (!(options.softcap >= 0) || !std::isfinite(options.softcap))
        throw Error("options.softcap is " + number_text(options.softcap) + ": expected 0 (none) or a finite number above it");
}

/// All but value, out and weights.
template <class T>
void check_scores(const TensorView<const T, 4>& query, const TensorView<const T, 4>& key, const AttentionOptions& options,
                  const AttentionArguments& rules) {
    check_options(options);
    check_divides("query.extent[1]", query.extent[1], "key.extent[1]", key.extent[1]);
    if (query.extent[3] < 1)
        throw Error("query.extent[3] is " + std::to_string(query.extent[3]) + ": a head has at least one dimension");
    check_extent("key", key, 3, query.extent[3], "query.extent[3], the head dimension");
    checked_range("query", query);
    checked_range("key", key);
    check_sequences(query.extent, key.extent, options, rules);
    check_rules(query.extent, key.extent, options, rules);
}

template <class T, class U>
void check_apart(const char* out_name, const TensorView<T, 4>& out, const char* in_name, const TensorView<U, 4>& in) {
    check_no_overlap(out_name, out, checked_range(out_name, out), in_name, in, checked_range(in_name, in));
}

}  // namespace

template <class T>
void check_attention(const TensorView<const T, 4>& query, const TensorView<const T, 4>& key, const TensorView<const T, 4>& value,
                     const TensorView<T, 4>& out, const AttentionOptions& options, const AttentionArguments& rules,
                     const TensorView<T, 3>& log_sum_exp) {
    check_scores(query, key, options, rules);
    check_extent("value", value, 0, key.extent[0], "key.extent[0], the batch or the number of pages");
    check_extent("value", value, 1, key.extent[1], "key.extent[1], the number of key/value heads");
    check_extent("value", value, 2, key.extent[2], "key.extent[2], the number of keys");
    check_extent("out", out, 0, query.extent[0], "query.extent[0], the batch");
    check_extent("out", out, 1, query.extent[1], "query.extent[1], the number of query heads");
    check_extent("out", out, 2, query.extent[2], "query.extent[2], the number of queries");
    check_extent("out", out, 3, value.extent[3], "value.extent[3], the value dimension");
    checked_output("out", out);
    check_apart("out", out, "query", query);
    check_apart("out", out, "key", key);
    check_apart("out", out, "value", value);
    if (!log_sum_exp.data) return;
    check_extent("log_sum_exp", log_sum_exp, 0, query.extent[0], "query.extent[0], the batch");
    check_extent("log_sum_exp", log_sum_exp, 1, query.extent[1], "query.extent[1], the number of query heads");
    check_extent("log_sum_exp", log_sum_exp, 2, query.extent[2], "query.extent[2], the number of queries");
    checked_output("log_sum_exp", log_sum_exp);
    check_apart("log_sum_exp", in_rows(log_sum_exp), "query", query);
    check_apart("log_sum_exp", in_rows(log_sum_exp), "key", key);
    check_apart("log_sum_exp", in_rows(log_sum_exp), "value", value);
    check_apart("log_sum_exp", in_rows(log_sum_exp), "out", out);
}

template <class T>
void check_attention_weights(const TensorView<const T, 4>& query, const TensorView<const T, 4>& key,
                             const TensorView<T, 4>& weights, const AttentionOptions& options, const AttentionArguments& rules) {
    check_scores(query, key, options, rules);
    check_extent("weights", weights, 0, query.extent[0], "query.extent[0], the batch");
    check_extent("weights", weights, 1, query.extent[1], "query.extent[1], the number of query heads");
    check_extent("weights", weights, 2, query.extent[2], "query.extent[2], the number of queries");
    const std::int64_t keys = Sequences(query.extent, key.extent, options, rules).most_keys();
    if (weights.extent[3] < keys)
        throw Error("weights.extent[3] is " + std::to_string(weights.extent[3]) + ": expected at least " + std::to_string(keys) +
                    ", the most keys of a sequence");
    checked_output("weights", weights);
    check_apart("weights", weights, "query", query);
    check_apart("weights", weights, "key", key);
}

// One list of the two types that the reference exists for.
#define HEADWISE_INSTANTIATE(T)                                                                                                  \
    template void check_attention(const TensorView<const T, 4>&, const TensorView<const T, 4>&, const TensorView<const T, 4>&,   \
                                  const TensorView<T, 4>&, const AttentionOptions&, const AttentionArguments&,                   \
                                  const TensorView<T, 3>&);                                                                      \
    template void check_attention_weights(const TensorView<const T, 4>&, const TensorView<const T, 4>&, const TensorView<T, 4>&, \
                                          const AttentionOptions&, const AttentionArguments&);
HEADWISE_INSTANTIATE(float)
HEADWISE_INSTANTIATE(double)
#undef HEADWISE_INSTANTIATE

}  // namespace headwise::reference
