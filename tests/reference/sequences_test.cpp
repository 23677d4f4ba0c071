#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "headwise/reference.hpp"
#include "headwise/rope.hpp"
#include "tests/reference/attention_inputs.hpp"

namespace headwise::test {
namespace {

template <class T>
constexpr T kNan = std::numeric_limits<T>::quiet_NaN();

using Lengths = std::vector<std::int32_t>;

template <class Integer>
std::vector<Integer> cumulative(const Lengths& lengths) {
    std::vector<Integer> sums = {0};
    for (const std::int32_t length : lengths) sums.push_back(sums.back() + length);
    return sums;
}

/// Sequence b of what has a batch, its first `length` tokens.
template <class T>
TensorView<const T, 4> sequence(const PlainTensor<T>& tensor, std::int64_t b, std::int64_t length) {
    return parts(parts(tensor.view, 0, b, 1), 2, 0, length);
}

/// NaN wherever a sequence has ended.
template <class T>
void spoil_beyond(PlainTensor<T>& tensor, const Lengths& lengths) {
    for_each_element(tensor.view.extent, [&](auto b, auto h, auto i, auto d) {
        if (i >= lengths[static_cast<std::size_t>(b)]) element(tensor.view, b, h, i, d) = kNan<T>;
    });
}

constexpr AttentionShape kShape{
    .batch = 4, .num_heads = 4, .num_kv_heads = 2, .query_length = 4, .key_length = 6, .head_dim = 4, .value_dim = 3};
const Lengths kQueries = {2, 0, 4, 3}, kKeys = {3, 4, 6, 0};

const AttentionOptions kOptions[] = {{},
                                     {.causal = Causal::bottom_right},
                                     {.causal = Causal::top_left, .window = {.left = 1}},
                                     {.alignment = Alignment::top_left, .window = {1, 1}},
                                     {.window = {2, 0}, .softcap = 3}};

TEST_CASE_TEMPLATE("sequences that are shorter than the tensor are as those alone, bit for bit", T, float, double) {
    AttentionInputs<T> in(kShape);
    spoil_beyond(in.query, kQueries);
    spoil_beyond(in.key, kKeys);
    spoil_beyond(in.value, kKeys);
    const std::vector<float> slopes = {0.5f, 0.25f, 1, 2};
    for (const AttentionOptions& options : kOptions) {
        AttentionResult<T> all(in, options, {.query_lengths = kQueries, .key_lengths = kKeys, .alibi_slopes = slopes});
        for (std::int64_t b = 0; b < kShape.batch; ++b) {
            const std::int64_t queries = kQueries[static_cast<std::size_t>(b)], keys = kKeys[static_cast<std::size_t>(b)];
            AttentionResult<T> one(sequence(in.query, b, queries), sequence(in.key, b, keys), sequence(in.value, b, keys), options,
                                   {.alibi_slopes = slopes});
            CHECK(same_rows(all, b, 0, one));
            CHECK(rows_are_empty(all, b, queries, kShape.query_length - queries));
        }
    }
}

/// The tokens of all sequences, one after another.
template <class T>
PlainTensor<T> packed(const PlainTensor<T>& padded, const Lengths& lengths) {
    const auto& [batch, heads, most, dim] = padded.view.extent;
    PlainTensor<T> result({1, heads, std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}), dim});
    std::int64_t first = 0;
    for (std::int64_t b = 0; b < batch; ++b) {
        const std::int64_t length = lengths[static_cast<std::size_t>(b)];
        for_each_element({1, heads, length, dim}, [&](auto, auto h, auto i, auto d) {
            element(result.view, std::int64_t{0}, h, first + i, d) = element(padded.view, b, h, i, d);
        });
        first += length;
    }
    return result;
}

TEST_CASE_TEMPLATE("packed sequences are as those alone, bit for bit", T, float, double) {
    const AttentionInputs<T> in(kShape);
    const PlainTensor<T> query = packed(in.query, kQueries), key = packed(in.key, kKeys), value = packed(in.value, kKeys);
    const auto narrow_queries = cumulative<std::int32_t>(kQueries), narrow_keys = cumulative<std::int32_t>(kKeys);
    const auto wide_queries = cumulative<std::int64_t>(kQueries), wide_keys = cumulative<std::int64_t>(kKeys);
    // What has a batch counts sequences, what has a length counts within them.
    RandomNumbers random(test_seed());
    const PlainTensor<float> bias = random_tensor<float>({4, 4, 4, 6}, random);

    for (const AttentionOptions& options : kOptions) {
        const AttentionArguments narrow{.cumulative_query_lengths = std::span(narrow_queries),
                                        .cumulative_key_lengths = std::span(narrow_keys),
                                        .bias = bias.view};
        const AttentionArguments wide{
            .cumulative_query_lengths = std::span(wide_queries), .cumulative_key_lengths = std::span(wide_keys), .bias = bias.view};
        AttentionResult<T> all(query.view, key.view, value.view, options, narrow);
        CHECK(all == AttentionResult<T>(query.view, key.view, value.view, options, wide));
        for (std::int64_t b = 0; b < kShape.batch; ++b) {
            const auto at = static_cast<std::size_t>(b);
            AttentionResult<T> one(sequence(in.query, b, kQueries[at]), sequence(in.key, b, kKeys[at]),
                                   sequence(in.value, b, kKeys[at]), options,
                                   {.bias = parts(parts(parts(bias.view, 0, b, 1), 2, 0, kQueries[at]), 3, 0, kKeys[at])});
            CHECK(same_rows(all, 0, narrow_queries[at], one));
        }
    }
}

/// The keys or values of a batch in pages of two rows that are dealt out from the last page of the pool to its first; NaN
/// elsewhere.
template <class T>
struct Pages {
    static constexpr std::int64_t kSize = 2, kMost = 3, kPool = 10;
    PlainTensor<T> pool;
    Lengths table = Lengths(static_cast<std::size_t>(4 * kMost), -99);  // entries beyond a sequence's end are not looked at

    Pages(const PlainTensor<T>& padded, const Lengths& lengths)
        : pool({kPool, padded.view.extent[1], kSize, padded.view.extent[3]}) {
        std::fill(pool.data.begin(), pool.data.end(), kNan<T>);
        std::int32_t page = kPool;
        for (std::int64_t b = 0; b < 4; ++b)
            for (std::int64_t j = 0; j < lengths[static_cast<std::size_t>(b)]; ++j) {
                if (j % kSize == 0) table[static_cast<std::size_t>(b * kMost + j / kSize)] = --page;
                for_each_element({1, padded.view.extent[1], 1, padded.view.extent[3]}, [&](auto, auto h, auto, auto d) {
                    element(pool.view, std::int64_t{page}, h, j % kSize, d) = element(padded.view, b, h, j, d);
                });
            }
    }
    TensorView<const std::int32_t, 2> table_view() const { return {table.data(), {4, kMost}}; }
};

TEST_CASE_TEMPLATE("paged keys are as contiguous ones, bit for bit", T, float, double) {
    const AttentionInputs<T> in(kShape);
    const Pages<T> key(in.key, kKeys), value(in.value, kKeys);
    const auto sums = cumulative<std::int32_t>(kQueries);
    const PlainTensor<T> packed_query = packed(in.query, kQueries);
    const RopeTable rope({.dims = 4}, 8);
    for (AttentionOptions options : kOptions)
        for (const RopeTable* turn : {static_cast<const RopeTable*>(nullptr), &rope}) {
            options.rope = turn;
            AttentionResult<T> paged(in.query.view, key.pool.view, value.pool.view, options,
                                     {.query_lengths = kQueries, .key_lengths = kKeys, .page_table = key.table_view()});
            CHECK(paged == AttentionResult<T>(in, options, {.query_lengths = kQueries, .key_lengths = kKeys}));

            AttentionResult<T> both(
                packed_query.view, key.pool.view, value.pool.view, options,
                {.key_lengths = kKeys, .cumulative_query_lengths = std::span(sums), .page_table = key.table_view()});
            for (std::int64_t b = 0; b < kShape.batch; ++b) {
                const auto at = static_cast<std::size_t>(b);
                AttentionResult<T> one(sequence(in.query, b, kQueries[at]), sequence(in.key, b, kKeys[at]),
                                       sequence(in.value, b, kKeys[at]), options);
                CHECK(same_rows(both, 0, sums[at], one));
            }
        }
}

TEST_CASE_TEMPLATE("sequences may share a page, at other positions too", T, float, double) {
    const AttentionInputs<T> in({.query_length = 1, .key_length = 4, .head_dim = 4, .value_dim = 2});
    const TensorView<const T, 4> keys = in.key.view, values = in.value.view;
    const auto pages = [](const TensorView<const T, 4>& rows) {
        return TensorView<const T, 4>(rows.data, {2, 1, 2, rows.extent[3]});
    };
    const TensorView<const T, 4> twice(in.query.view.data, {2, 1, 1, 4}, {0, 4, 4, 1});
    const Lengths table = {0, 1, 1, 0}, lengths = {4, 4};
    const RopeTable rope({.dims = 4}, 8);
    const AttentionOptions options{.rope = &rope};
    AttentionResult<T> shared(twice, pages(keys), pages(values), options,
                              {.key_lengths = lengths, .page_table = {table.data(), {2, 2}}});
    AttentionResult<T> first(in, options);
    CHECK(same_rows(shared, 0, 0, first));

    const auto swapped = [](const PlainTensor<T>& rows) {
        PlainTensor<T> other = rows;
        std::rotate(other.data.begin(), other.data.begin() + static_cast<std::ptrdiff_t>(other.data.size() / 2), other.data.end());
        return other;
    };
    const PlainTensor<T> other_keys = swapped(in.key), other_values = swapped(in.value);
    AttentionResult<T> second(in.query.view, TensorView<const T, 4>(other_keys.data.data(), keys.extent),
                              TensorView<const T, 4>(other_values.data.data(), values.extent), options);
    CHECK(same_rows(shared, 1, 0, second));
}

TEST_CASE_TEMPLATE("masks count within a sequence: a tree and a prefix for each of several packed ones", T, float, double) {
    const Lengths queries = {2, 3}, keys = {3, 5}, prefixes = {0, 4}, parents = {-1, -1, 99, -1, 0, 0};
    const auto query_sums = cumulative<std::int32_t>(queries), key_sums = cumulative<std::int32_t>(keys);
    const std::vector<T> query(5, 0), key(8, 0);
    const auto weights_of = [&](const AttentionOptions& options, AttentionArguments rules) {
        std::vector<T> weights(5 * 5);
        rules.cumulative_query_lengths = std::span(query_sums);
        rules.cumulative_key_lengths = std::span(key_sums);
        reference::attention_weights<T>({query.data(), {1, 1, 5, 1}}, {key.data(), {1, 1, 8, 1}}, {weights.data(), {1, 1, 5, 5}},
                                        options, rules);
        for (T& weight : weights) weight = weight > 0 ? 1 : 0;
        return weights;
    };
    CHECK(weights_of({}, {.tree_parents = {parents.data(), {2, 3}}}) == std::vector<T>{1, 1, 0, 0, 0,  //
                                                                                       1, 0, 1, 0, 0,  //
                                                                                       1, 1, 1, 0, 0,  //
                                                                                       1, 1, 1, 1, 0,  //
                                                                                       1, 1, 1, 0, 1});
    CHECK(weights_of({.causal = Causal::bottom_right}, {.prefix_lengths = prefixes}) == std::vector<T>{1, 1, 0, 0, 0,  //
                                                                                                       1, 1, 1, 0, 0,  //
                                                                                                       1, 1, 1, 1, 0,  //
                                                                                                       1, 1, 1, 1, 0,  //
                                                                                                       1, 1, 1, 1, 1});
}

TEST_CASE_TEMPLATE("what a query sees and ALiBi adds follows from positions, wherever they start", T, float, double) {
    const std::vector<T> query(3, 0), key(4, 0);
    const std::vector<float> slope = {0.5f};
    const auto weights_of = [&](const AttentionOptions& options, std::int64_t first_query, std::int64_t first_key,
                                bool alibi = false) {
        std::vector<T> weights(3 * 4);
        reference::attention_weights<T>({query.data(), {1, 1, 3, 1}}, {key.data(), {1, 1, 4, 1}}, {weights.data(), {1, 1, 3, 4}},
                                        options,
                                        {.first_query_positions = {&first_query, 1},
                                         .first_key_positions = {&first_key, 1},
                                         .alibi_slopes = alibi ? std::span<const float>(slope) : std::span<const float>()});
        return weights;
    };
    const auto seen_of = [&](const AttentionOptions& options, std::int64_t first_query, std::int64_t first_key) {
        std::vector<T> weights = weights_of(options, first_query, first_key);
        for (T& weight : weights) weight = weight > 0 ? 1 : 0;
        return weights;
    };
    // Queries at 0, 1, 2 from some position on; keys at -1 .. 2, and at 2 .. 5.
    for (const Causal causal : {Causal::top_left, Causal::bottom_right})
        for (const std::int64_t shift : {100, 0, -1, -2, -160}) {
            CAPTURE(shift);
            CHECK(seen_of({.causal = causal}, shift, shift - 1) == std::vector<T>{1, 1, 0, 0,  //
                                                                                  1, 1, 1, 0,  //
                                                                                  1, 1, 1, 1});
            CHECK(seen_of({.causal = causal}, shift, shift + 2) == std::vector<T>{0, 0, 0, 0,  //
                                                                                  0, 0, 0, 0,  //
                                                                                  1, 0, 0, 0});
        }
    CHECK(seen_of({.window = {.left = 1, .right = 0}}, -100, -102) == std::vector<T>{0, 1, 1, 0,  //
                                                                                     0, 0, 1, 1,  //
                                                                                     0, 0, 0, 1});
    CHECK(seen_of({.window = {.left = 1}}, 200, 100) == std::vector<T>(12, 0));
    // Logits of -0.5 * (query position - key position): weights in the ratio of e^0.5 from key to key.
    const std::vector<T> alibi = weights_of({}, 100, 90, true);
    for (std::size_t i = 0; i + 1 < alibi.size(); ++i)
        if (i % 4 != 3) CHECK(std::abs(static_cast<double>(alibi[i + 1] / alibi[i]) - std::exp(0.5)) < 1e-5);
}

TEST_CASE_TEMPLATE("keys at positions below the prefix are seen by all, nodes of a tree are at their queries' positions", T, float,
                   double) {
    const std::vector<T> query(3, 0), key(4, 0);
    const Lengths prefix = {101}, parents = {-1, 0, 0};
    const auto seen_of = [&](std::int64_t first_query, std::int64_t first_key, bool tree) {
        std::vector<T> weights(3 * 4);
        AttentionArguments rules{.first_query_positions = {&first_query, 1}, .first_key_positions = {&first_key, 1}};
        if (tree)
            rules.tree_parents = {parents.data(), {1, 3}};
        else
            rules.prefix_lengths = prefix;
        reference::attention_weights<T>({query.data(), {1, 1, 3, 1}}, {key.data(), {1, 1, 4, 1}}, {weights.data(), {1, 1, 3, 4}},
                                        {.causal = tree ? Causal::none : Causal::bottom_right}, rules);
        for (T& weight : weights) weight = weight > 0 ? 1 : 0;
        return weights;
    };
    // Keys at 99 .. 102, of which those at 99 and 100 are below 101.
    CHECK(seen_of(99, 99, false) == std::vector<T>{1, 1, 0, 0,  //
                                                   1, 1, 0, 0,  //
                                                   1, 1, 1, 0});
    CHECK(seen_of(99, 101, false) == std::vector<T>{0, 0, 0, 0,  //
                                                    0, 0, 0, 0,  //
                                                    1, 0, 0, 0});
    // The nodes are the keys at 100, 101 and 102: the last three, the first two, or none at all.
    CHECK(seen_of(100, 99, true) == std::vector<T>{1, 1, 0, 0,  //
                                                   1, 1, 1, 0,  //
                                                   1, 1, 0, 1});
    CHECK(seen_of(100, 101, true) == std::vector<T>{0, 0, 0, 0,  //
                                                    1, 0, 0, 0,  //
                                                    0, 1, 0, 0});
    CHECK(seen_of(100, 96, true) == std::vector<T>(12, 1));
}

}  // namespace
}  // namespace headwise::test
