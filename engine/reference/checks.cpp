#include "engine/reference/checks.hpp"

#include <cmath>
#include <string>

#include "engine/tensor/view_check.hpp"
#include "headwise/error.hpp"

namespace headwise::reference {
namespace {

template <class T, std::size_t Rank>
ElementRange checked_output(const char* name, const TensorView<T, Rank>& out) {
    const ElementRange range = checked_range(name, out);
    if (!range.empty) check_no_self_overlap(name, out);
    return range;
}

void check_divides(const char* name, std::int64_t extent, const char* divisor_name, std::int64_t divisor) {
    if (divisor < 1) throw Error(std::string(divisor_name) + " is " + std::to_string(divisor) + ": expected at least 1");
    if (extent % divisor != 0)
        throw Error(std::string(name) + " is " + std::to_string(extent) + ", " + divisor_name + " is " + std::to_string(divisor) +
                    ": the former must be a multiple of the latter");
}

}  // namespace

template <class T>
void check_matmul(const TensorView<const T, 2>& a, const TensorView<const T, 2>& b, const TensorView<T, 2>& c) {
    check_extent("b", b, 0, a.extent[1], "a.extent[1], the length of the sums");
    check_extent("c", c, 0, a.extent[0], "a.extent[0], the number of rows");
    check_extent("c", c, 1, b.extent[1], "b.extent[1], the number of columns");
    const ElementRange a_range = checked_range("a", a), b_range = checked_range("b", b), c_range = checked_output("c", c);
    check_no_overlap("c", c, c_range, "a", a, a_range);
    check_no_overlap("c", c, c_range, "b", b, b_range);
}

template <class T>
void check_softmax(const TensorView<T, 2>& x) {
    checked_output("x", x);
}

template <class T>
void check_attention(const TensorView<const T, 4>& query, const TensorView<const T, 4>& key, const TensorView<const T, 4>& value,
                     const TensorView<T, 4>& out, const AttentionOptions& options) {
    check_extent("key", key, 0, query.extent[0], "query.extent[0], the batch");
    check_divides("query.extent[1]", query.extent[1], "key.extent[1]", key.extent[1]);
    if (query.extent[3] < 1)
        throw Error("query.extent[3] is " + std::to_string(query.extent[3]) + ": a head has at least one dimension");
    check_extent("key", key, 3, query.extent[3], "query.extent[3], the head dimension");
    check_extent("value", value, 0, query.extent[0], "query.extent[0], the batch");
    check_extent("value", value, 1, key.extent[1], "key.extent[1], the number of key/value heads");
    check_extent("value", value, 2, key.extent[2], "key.extent[2], the number of keys");
    check_extent("out", out, 0, query.extent[0], "query.extent[0], the batch");
    check_extent("out", out, 1, query.extent[1], "query.extent[1], the number of query heads");
    check_extent("out", out, 2, query.extent[2], "query.extent[2], the number of queries");
    check_extent("out", out, 3, value.extent[3], "value.extent[3], the value dimension");
    if (options.scale && !std::isfinite(*options.scale))
        throw Error("options.scale is " + std::to_string(*options.scale) + ": it must be finite");
    if (options.causal != Causal::none && options.causal != Causal::top_left && options.causal != Causal::bottom_right)
        throw Error("options.causal is " + std::to_string(static_cast<int>(options.causal)) + ": not a value of Causal");

    const ElementRange query_range = checked_range("query", query), key_range = checked_range("key", key);
    const ElementRange value_range = checked_range("value", value), out_range = checked_output("out", out);
    check_no_overlap("out", out, out_range, "query", query, query_range);
    check_no_overlap("out", out, out_range, "key", key, key_range);
    check_no_overlap("out", out, out_range, "value", value, value_range);
}

template <class T>
void check_multi_head_attention(const TensorView<const T, 3>& x, const TensorView<const T, 3>& context, std::int64_t num_heads,
                                std::int64_t num_kv_heads, const MultiHeadWeights<T>& weights, const TensorView<T, 3>& out) {
    check_divides("num_heads", num_heads, "num_kv_heads", num_kv_heads);
    check_divides("weights.query.extent[0]", weights.query.extent[0], "num_heads", num_heads);
    check_divides("weights.key.extent[0]", weights.key.extent[0], "num_kv_heads", num_kv_heads);
    check_divides("weights.value.extent[0]", weights.value.extent[0], "num_kv_heads", num_kv_heads);
    const std::int64_t head_dim = weights.query.extent[0] / num_heads, value_dim = weights.value.extent[0] / num_kv_heads;
    check_extent("weights.key", weights.key, 0, num_kv_heads * head_dim, "num_kv_heads times the head dimension of weights.query");
    check_extent("weights.query", weights.query, 1, x.extent[2], "x.extent[2], the model dimension");
    check_extent("weights.key", weights.key, 1, context.extent[2], "context.extent[2], the context dimension");
    check_extent("weights.value", weights.value, 1, context.extent[2], "context.extent[2], the context dimension");
    check_extent("weights.output", weights.output, 1, num_heads * value_dim,
                 "num_heads times the value dimension of weights.value");
    check_extent("context", context, 0, x.extent[0], "x.extent[0], the batch");
    check_extent("out", out, 0, x.extent[0], "x.extent[0], the batch");
    check_extent("out", out, 1, x.extent[1], "x.extent[1], the length");
    check_extent("out", out, 2, weights.output.extent[0], "weights.output.extent[0], the output dimension");

    checked_range("weights.query", weights.query);
    checked_range("weights.key", weights.key);
    checked_range("weights.value", weights.value);
    checked_range("weights.output", weights.output);
    const ElementRange x_range = checked_range("x", x), context_range = checked_range("context", context);
    const ElementRange out_range = checked_output("out", out);
    check_no_overlap("out", out, out_range, "x", x, x_range);
    check_no_overlap("out", out, out_range, "context", context, context_range);
}

// One list of the two types that the reference exists for.
#define HEADWISE_INSTANTIATE(T)                                                                                                \
    template void check_matmul(const TensorView<const T, 2>&, const TensorView<const T, 2>&, const TensorView<T, 2>&);         \
    template void check_softmax(const TensorView<T, 2>&);                                                                      \
    template void check_attention(const TensorView<const T, 4>&, const TensorView<const T, 4>&, const TensorView<const T, 4>&, \
                                  const TensorView<T, 4>&, const AttentionOptions&);                                           \
    template void check_multi_head_attention(const TensorView<const T, 3>&, const TensorView<const T, 3>&, std::int64_t,       \
                                             std::int64_t, const MultiHeadWeights<T>&, const TensorView<T, 3>&);
HEADWISE_INSTANTIATE(float)
HEADWISE_INSTANTIATE(double)
#undef HEADWISE_INSTANTIATE

}  // namespace headwise::reference
