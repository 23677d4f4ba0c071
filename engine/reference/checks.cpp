#include "engine/reference/checks.hpp"

#include <string>

#include "engine/tensor/view_check.hpp"
#include "headwise/error.hpp"

namespace headwise::reference {
namespace {

CheckedView checked_output(const char* name, const AnyTensor& out) {
    const CheckedView checked = checked_view(name, out);
    check_no_self_overlap(name, out);
    return checked;
}

}  // namespace

void check_divides(const char* name, std::int64_t extent, const char* divisor_name, std::int64_t divisor) {
    if (divisor < 1) throw Error(std::string(divisor_name) + " is " + std::to_string(divisor) + ": expected at least 1");
    if (extent % divisor != 0)
        throw Error(std::string(name) + " is " + std::to_string(extent) + ", " + divisor_name + " is " + std::to_string(divisor) +
                    ": the former must be a multiple of the latter");
}

template <class T>
void check_matmul(const TensorView<const T, 2>& a, const TensorView<const T, 2>& b, const TensorView<T, 2>& c) {
    check_extent("b", b, 0, a.extent[1], "a.extent[1], the length of the sums");
    check_extent("c", c, 0, a.extent[0], "a.extent[0], the number of rows");
    check_extent("c", c, 1, b.extent[1], "b.extent[1], the number of columns");
    const CheckedView checked_a = checked_view("a", a), checked_b = checked_view("b", b), written = checked_output("c", c);
    check_apart(written, checked_a);
    check_apart(written, checked_b);
}

template <class T>
void check_softmax(const TensorView<T, 2>& x) {
    checked_output("x", x);
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

    checked_view("weights.query", weights.query);
    checked_view("weights.key", weights.key);
    checked_view("weights.value", weights.value);
    checked_view("weights.output", weights.output);
    const CheckedView checked_x = checked_view("x", x), checked_context = checked_view("context", context),
                      written = checked_output("out", out);
    check_apart(written, checked_x);
    check_apart(written, checked_context);
}

// One list of the two types that the reference exists for.
#define HEADWISE_INSTANTIATE(T)                                                                                          \
    template void check_matmul(const TensorView<const T, 2>&, const TensorView<const T, 2>&, const TensorView<T, 2>&);   \
    template void check_softmax(const TensorView<T, 2>&);                                                                \
    template void check_multi_head_attention(const TensorView<const T, 3>&, const TensorView<const T, 3>&, std::int64_t, \
                                             std::int64_t, const MultiHeadWeights<T>&, const TensorView<T, 3>&);
HEADWISE_INSTANTIATE(float)
HEADWISE_INSTANTIATE(double)
#undef HEADWISE_INSTANTIATE

}  // namespace headwise::reference
