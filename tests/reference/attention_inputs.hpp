#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "headwise/reference.hpp"
#include "tests/support/random_numbers.hpp"
#include "tests/support/strided_tensor.hpp"

namespace headwise::test {

template <class T>
TensorView<T, 4> parts(TensorView<T, 4> view, std::size_t axis, std::int64_t first, std::int64_t count) {
    view.data += first * view.stride[axis];
    view.extent[axis] = count;
    return view;
}

template <class T>
PlainTensor<T> random_tensor(const std::array<std::int64_t, 4>& extent, RandomNumbers& random) {
    PlainTensor<T> tensor(extent);
    for (T& x : tensor.data) x = static_cast<T>(random.normal());
    return tensor;
}

/// Random queries, keys and values.
template <class T>
struct AttentionInputs {
    PlainTensor<T> query, key, value;

    explicit AttentionInputs(const AttentionShape& s, std::uint64_t seed = test_seed()) : AttentionInputs(s, RandomNumbers(seed)) {}

  private:
    AttentionInputs(const AttentionShape& s, RandomNumbers random)
        : query(random_tensor<T>({s.batch, s.num_heads, s.query_length, s.head_dim}, random)),
          key(random_tensor<T>({s.batch, s.num_kv_heads, s.key_length, s.head_dim}, random)),
          value(random_tensor<T>({s.batch, s.num_kv_heads, s.key_length, s.value_dim}, random)) {}
};

template <class T>
struct AttentionResult {
    PlainTensor<T> out;
    std::vector<T> log_sum_exp;

    AttentionResult(const TensorView<const T, 4>& query, const TensorView<const T, 4>& key, const TensorView<const T, 4>& value,
                    const AttentionOptions& options = {}, const AttentionArguments& rules = {})
        : out({query.extent[0], query.extent[1], query.extent[2], value.extent[3]}) {
        log_sum_exp.resize(static_cast<std::size_t>(query.extent[0] * query.extent[1] * query.extent[2]));
        reference::attention<T>(query, key, value, out.view, options, rules, log_sum_exp_view());
    }
    explicit AttentionResult(const AttentionInputs<T>& in, const AttentionOptions& options = {},
                             const AttentionArguments& rules = {})
        : AttentionResult(in.query.view, in.key.view, in.value.view, options, rules) {}

    TensorView<T, 3> log_sum_exp_view() {
        return {log_sum_exp.data(), {out.view.extent[0], out.view.extent[1], out.view.extent[2]}};
    }
    TensorView<T, 4> log_sum_exp_rows() {
        return {log_sum_exp.data(), {out.view.extent[0], out.view.extent[1], out.view.extent[2], 1}};
    }

    bool operator==(const AttentionResult& other) const { return out.data == other.out.data && log_sum_exp == other.log_sum_exp; }
};

/// The queries [first, first + count) of sequence b of `all` are those of `part`, bit for bit, in every head.
template <class T>
bool same_rows(AttentionResult<T>& all, std::int64_t b, std::int64_t first, AttentionResult<T>& part) {
    const auto same = [&](const TensorView<T, 4>& x, const TensorView<T, 4>& y) {
        bool equal = true;
        for_each_element(y.extent, [&](auto, auto h, auto i, auto d) {
            equal = equal && element(x, b, h, first + i, d) == element(y, std::int64_t{0}, h, i, d);
        });
        return equal;
    };
    return same(all.out.view, part.out.view) && same(all.log_sum_exp_rows(), part.log_sum_exp_rows());
}

/// The same for rows of no query: 0, and -Inf as log_sum_exp.
template <class T>
bool rows_are_empty(AttentionResult<T>& all, std::int64_t b, std::int64_t first, std::int64_t count) {
    const auto are = [&](const TensorView<T, 4>& x, T expected) {
        bool equal = true;
        for_each_element({1, x.extent[1], count, x.extent[3]},
                         [&](auto, auto h, auto i, auto d) { equal = equal && element(x, b, h, first + i, d) == expected; });
        return equal;
    };
    return are(all.out.view, T(0)) && are(all.log_sum_exp_rows(), -std::numeric_limits<T>::infinity());
}

/// One query against some keys of one dimension each: its weights, and its log_sum_exp.
template <class T>
struct OneRow {
    std::vector<T> weights;
    T log_sum_exp = 0;

    OneRow(T query, const std::vector<T>& keys, AttentionOptions options = {}, const AttentionArguments& rules = {})
        : weights(keys.size()) {
        const auto count = static_cast<std::int64_t>(keys.size());
        const TensorView<const T, 4> query_view(&query, {1, 1, 1, 1}), key_view(keys.data(), {1, 1, count, 1});
        T out = 0;
        reference::attention<T>(query_view, key_view, key_view, {&out, {1, 1, 1, 1}}, options, rules, {&log_sum_exp, {1, 1, 1}});
        reference::attention_weights<T>(query_view, key_view, {weights.data(), {1, 1, 1, count}}, options, rules);
    }
};

/// a[i] is b[i] to some digits less than T has.
template <class T>
bool close(const std::vector<T>& a, const std::vector<double>& b) {
    bool all = a.size() == b.size();
    for (std::size_t i = 0; all && i < a.size(); ++i)
        all = std::abs(static_cast<double>(a[i]) - b[i]) <=
              16 * static_cast<double>(std::numeric_limits<T>::epsilon()) * std::max(1.0, std::abs(b[i]));
    return all;
}

template <std::floating_point T>
bool close(T a, double b) {
    return close(std::vector<T>{a}, std::vector<double>{b});
}

}  // namespace headwise::test
