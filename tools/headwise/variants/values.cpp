#include "variants/values.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <limits>
#include <numeric>
#include <span>

#include "variants/variants.hpp"

namespace headwise::tools {
namespace {

template <class T>
std::int64_t elements(const T& view) {
    return std::accumulate(view.extent.begin(), view.extent.end(), std::int64_t{1}, std::multiplies{});
}

/// A contiguous tensor of change(value, row), where a row is what the last extent spans.
template <class Change>
TensorView<const float, 4> changed(VariantWorkload& w, const TensorView<const float, 4>& x, Change change) {
    const std::span<float> copy = w.memory.zeros(elements(x));
    const auto dim = static_cast<std::size_t>(x.extent[3]);
    for (std::size_t i = 0; i < copy.size(); ++i) copy[i] = change(x.data[i], static_cast<std::int64_t>(i / dim));
    return {copy.data(), x.extent};
}

TensorView<const float, 4> multiplied(VariantWorkload& w, const TensorView<const float, 4>& x, float factor) {
    return changed(w, x, [factor](float value, std::int64_t) { return value * factor; });
}

double dot(const float* a, const float* b, std::int64_t n) {
    return std::inner_product(a, a + n, b, 0.0, std::plus{}, [](float x, float y) { return static_cast<double>(x) * y; });
}

/// How far apart the products of the first query with the keys of its head are.
double spread_of_products(const VariantCall& call) {
    double least = std::numeric_limits<double>::infinity(), most = -least;
    const auto &query = call.arguments.query, &key = call.arguments.key;
    for (std::int64_t j = 0; j < key.extent[2]; ++j) {
        const double product = dot(query.data, key.data + j * key.stride[2], key.extent[3]);
        least = std::min(least, product);
        most = std::max(most, product);
    }
    return most - least;
}

/// Both sides have a bias for each pair, the variant's is of(plain bias, key).
template <class Of>
void change_bias(VariantWorkload& w, Of of) {
    const AttentionShape& s = w.variant.shape;
    const TensorView<const float, 4> plain(w.memory.random_floats(s.query_length * s.key_length).data(),
                                           {1, 1, s.query_length, s.key_length});
    const std::span<float> bias = w.memory.zeros(elements(plain));
    for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = of(plain.data[i], static_cast<std::int64_t>(i) % s.key_length);
    w.plain.arguments.bias = plain;
    w.variant.arguments.bias = {bias.data(), plain.extent};
}

std::span<const float> for_each_head(VariantWorkload& w, float value) {
    const std::span<float> values = w.memory.zeros(w.variant.shape.num_heads);
    std::ranges::fill(values, value);
    return values;
}

/// The plain case has what add() gives the variant.
template <class Add>
void add_to_both(VariantWorkload& w, Add add) {
    add(w);
    w.plain = w.variant;
}

bool is_odd(std::int64_t i) {
    return i % 2 == 1;
}

}  // namespace

// -------------------------------------------------------------------------------------------------------------- what is computed

void compute_weights(VariantWorkload& w) {
    const AttentionShape& s = w.variant.shape;
    const std::int64_t rows = s.batch * s.num_heads * s.query_length;
    w.variant.weights.weights = {w.memory.zeros(rows * s.key_length).data(), {s.batch, s.num_heads, s.query_length, s.key_length}};
    w.plain = w.variant;
}

void compute_top_weights(VariantWorkload& w, std::int64_t k) {
    const AttentionShape& s = w.variant.shape;
    const std::int64_t rows = s.batch * s.num_heads * s.query_length;
    const std::array<std::int64_t, 4> extent{s.batch, s.num_heads, s.query_length, k};
    w.variant.weights.top_weights = {w.memory.zeros(rows * k).data(), extent};
    w.variant.weights.top_keys = {w.memory.integers(rows * k).data(), extent};
    w.plain = w.variant;
}

void compute_merged_states(VariantWorkload& w) {
    const AttentionShape& s = w.variant.shape;
    const std::array<std::int64_t, 3> rows{s.batch, s.num_heads, s.query_length};
    const std::int64_t count = s.batch * s.num_heads * s.query_length;
    for (AttentionState& state : w.variant.states) {
        state.out = {w.memory.random_floats(count * s.value_dim).data(), {s.batch, s.num_heads, s.query_length, s.value_dim}};
        state.log_sum_exp = {w.memory.random_floats(count).data(), rows};
    }
    w.variant.arguments.log_sum_exp = {w.memory.zeros(count).data(), rows};
    set_states_apart(w, 1);
    w.plain = w.variant;
}

// ------------------------------------------------------------------------------------------------------------------------ logits

void spread_logits(VariantWorkload& w, double apart) {
    w.variant.options.scale = static_cast<float>(apart / spread_of_products(w.variant));
}

void bias_every_other_key(VariantWorkload& w, float bias) {
    change_bias(w, [=](float plain, std::int64_t key) { return is_odd(key) ? bias : plain; });
}

void bias_rising_by(VariantWorkload& w, float step) {
    change_bias(w, [=](float, std::int64_t key) { return step * static_cast<float>(key); });
}

void bias_falling_at_half(VariantWorkload& w, float bias) {
    const std::int64_t half = w.variant.shape.key_length / 2;
    change_bias(w, [=](float plain, std::int64_t key) { return key < half ? plain : bias; });
}

void set_steep_alibi(VariantWorkload& w, float slope) {
    add_to_both(w, add_alibi);
    w.variant.arguments.alibi_slopes = for_each_head(w, slope);
}

void set_large_sinks(VariantWorkload& w, float sink) {
    add_to_both(w, add_sinks);
    w.variant.arguments.sinks = for_each_head(w, sink);
}

void spread_capped_logits(VariantWorkload& w, double apart) {
    add_to_both(w, add_softcap);
    spread_logits(w, apart);
}

void set_states_apart(VariantWorkload& w, double apart) {
    const TensorView<const float, 3>& first = w.variant.states[0].log_sum_exp;
    const std::span<float> second = w.memory.zeros(elements(first));
    for (std::size_t i = 0; i < second.size(); ++i) second[i] = static_cast<float>(first.data[i] - apart);
    w.variant.states[1].log_sum_exp = {second.data(), first.extent};
}

// ----------------------------------------------------------------------------------------------------------- denormal, and hidden

void multiply_queries(VariantWorkload& w, float factor) {
    w.variant.arguments.query = multiplied(w, w.variant.arguments.query, factor);
}

void multiply_keys(VariantWorkload& w, float factor) {
    w.variant.arguments.key = multiplied(w, w.variant.arguments.key, factor);
}

void multiply_values(VariantWorkload& w, float factor) {
    w.variant.arguments.value = multiplied(w, w.variant.arguments.value, factor);
}

void multiply_states(VariantWorkload& w, float factor) {
    for (AttentionState& state : w.variant.states) state.out = multiplied(w, state.out, factor);
}

void hide_nan(VariantWorkload& w) {
    const std::int64_t keys = w.variant.shape.key_length;
    const std::span<std::uint8_t> mask = w.memory.bytes(keys);
    for (std::size_t j = 0; j < mask.size(); ++j) mask[j] = is_odd(static_cast<std::int64_t>(j)) ? 0 : 1;
    AttentionArguments& a = w.variant.arguments;
    a.mask = {mask.data(), {1, 1, 1, keys}};
    w.plain = w.variant;
    const auto with_nan = [keys](float value, std::int64_t row) {
        return is_odd(row % keys) ? std::numeric_limits<float>::quiet_NaN() : value;
    };
    a.key = changed(w, a.key, with_nan);
    a.value = changed(w, a.value, with_nan);
}

}  // namespace headwise::tools
