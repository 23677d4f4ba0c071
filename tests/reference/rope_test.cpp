#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "headwise/reference.hpp"
#include "headwise/rope.hpp"
#include "tests/reference/attention_inputs.hpp"

namespace headwise::test {
namespace {

/// <query, key> after both are turned for their positions: the log_sum_exp of a single key.
template <class T>
T product(const std::vector<T>& query, const std::vector<T>& key, const RopeOptions& rope, std::int32_t query_position,
          std::int32_t key_position) {
    const auto dim = static_cast<std::int64_t>(query.size());
    const RopeTable table(rope, 20000);  // of which the reference takes the options alone
    AttentionResult<T> result({query.data(), {1, 1, 1, dim}}, {key.data(), {1, 1, 1, dim}}, {key.data(), {1, 1, 1, dim}},
                              {.scale = 1.0f, .rope = &table},
                              {.query_positions = {&query_position, {1, 1}}, .key_positions = {&key_position, {1, 1}}});
    return result.log_sum_exp[0];
}

TEST_CASE_TEMPLATE("angles, by hand", T, float, double) {
    const RopeOptions one_pair{.dims = 2};  // turns by the position in radians
    CHECK(close(product<T>({1, 0}, {1, 0}, one_pair, 1, 0), std::cos(1.0)));
    CHECK(close(product<T>({1, 0}, {0, 1}, one_pair, 1, 0), std::sin(1.0)));
    CHECK(close(product<T>({0, 1}, {1, 0}, one_pair, 1, 0), -std::sin(1.0)));
    CHECK(close(product<T>({1, 0}, {0, 1}, one_pair, 0, 1), -std::sin(1.0)));
    CHECK(close(product<T>({1, 0}, {0, 1}, one_pair, -2, 0), std::sin(-2.0)));
    CHECK(close(product<T>({1, 0, 5}, {1, 0, 7}, one_pair, 1, 0), std::cos(1.0) + 35));  // the others stay

    // The second pair turns by position * 100^(-2/4).
    const RopeOptions halves{.dims = 4, .base = 100}, neighbours{.dims = 4, .base = 100, .pairs = RopePairs::interleaved};
    const double expected = std::cos(3.0) + std::cos(0.3);
    CHECK(close(product<T>({1, 1, 0, 0}, {1, 1, 0, 0}, halves, 3, 0), expected));
    CHECK(close(product<T>({1, 0, 1, 0}, {1, 0, 1, 0}, neighbours, 3, 0), expected));
    CHECK(close(product<T>({0, 1, 0, 0}, {0, 0, 0, 1}, halves, 3, 0), std::sin(0.3)));
    CHECK(close(product<T>({0, 0, 1, 0}, {0, 0, 0, 1}, neighbours, 3, 0), std::sin(0.3)));
}

TEST_CASE("only the distance of the positions matters") {
    RandomNumbers random(test_seed());
    std::vector<double> query(6), key(6);
    for (double& x : query) x = static_cast<double>(random.normal());
    for (double& x : key) x = static_cast<double>(random.normal());
    for (const RopePairs pairs : {RopePairs::half_split, RopePairs::interleaved}) {
        const RopeOptions rope{.dims = 4, .pairs = pairs};
        const double expected = product(query, key, rope, 5, 2);
        CHECK(std::abs(product(query, key, rope, 3, 0) - expected) < 1e-12);
        CHECK(std::abs(product(query, key, rope, 0, -3) - expected) < 1e-12);
        CHECK(std::abs(product(query, key, rope, 10005, 10002) - expected) < 1e-9);
        CHECK(std::abs(product(query, key, rope, 5, 3) - expected) > 1e-6);
    }
}

TEST_CASE_TEMPLATE("both pair layouts agree when the elements are put in the other's order", T, float, double) {
    const AttentionInputs<T> in(
        {.num_heads = 2, .num_kv_heads = 1, .query_length = 3, .key_length = 4, .head_dim = 7, .value_dim = 2});
    const auto reordered = [](const PlainTensor<T>& halves) {
        PlainTensor<T> neighbours(halves.view.extent);
        const std::int64_t from[] = {0, 3, 1, 4, 2, 5, 6};
        for_each_element(halves.view.extent, [&](auto b, auto h, auto i, auto d) {
            element(neighbours.view, b, h, i, d) = element(halves.view, b, h, i, from[d]);
        });
        return neighbours;
    };
    const RopeTable halves({.dims = 6}, 8), neighbours({.dims = 6, .pairs = RopePairs::interleaved}, 8);
    const AttentionResult<T> a(in, {.rope = &halves});
    const AttentionResult<T> b(reordered(in.query).view, reordered(in.key).view, in.value.view, {.rope = &neighbours});
    CHECK(close(b.out.data, std::vector<double>(a.out.data.begin(), a.out.data.end())));  // sums in another order
}

TEST_CASE_TEMPLATE("without positions a key is at its index and a query where causal and alignment say", T, float, double) {
    const AttentionInputs<T> in({.query_length = 3, .key_length = 5, .head_dim = 4, .value_dim = 2});
    const AttentionInputs<T> more_queries({.query_length = 3, .key_length = 1, .head_dim = 4, .value_dim = 2});
    const std::vector<std::int32_t> keys = {0, 1, 2, 3, 4}, last = {2, 3, 4}, first = {0, 1, 2}, before = {-2, -1, 0};
    const RopeTable rope({.dims = 4}, 8);
    const auto at = [&](const std::vector<std::int32_t>& queries) {
        return AttentionArguments{.query_positions = {queries.data(), {1, 3}}, .key_positions = {keys.data(), {1, 5}}};
    };
    CHECK(AttentionResult<T>(in, {.rope = &rope}) == AttentionResult<T>(in, {.rope = &rope}, at(last)));
    CHECK(AttentionResult<T>(more_queries, {.rope = &rope}) == AttentionResult<T>(more_queries, {.rope = &rope}, at(before)));
    const AttentionOptions top_left{.alignment = Alignment::top_left, .rope = &rope};
    CHECK(AttentionResult<T>(in, top_left) == AttentionResult<T>(in, top_left, at(first)));
    const AttentionOptions causal{.causal = Causal::top_left, .rope = &rope};
    CHECK(AttentionResult<T>(in, causal) == AttentionResult<T>(in, causal, at(first)));
}

TEST_CASE_TEMPLATE("positions do not move causal masks, windows and ALiBi", T, float, double) {
    const AttentionInputs<T> in({.query_length = 3, .key_length = 5, .head_dim = 4, .value_dim = 2});
    const std::vector<std::int32_t> zeros(5, 0);
    const std::vector<float> slope = {0.5f};
    const RopeTable rope({.dims = 4}, 8);
    AttentionOptions options{.causal = Causal::bottom_right, .window = {.left = 2}};
    const AttentionResult<T> unturned(in, options, {.alibi_slopes = slope});
    options.rope = &rope;
    const AttentionResult<T> turned_by_nothing(
        in, options, {.alibi_slopes = slope, .query_positions = {zeros.data(), {1, 3}}, .key_positions = {zeros.data(), {1, 5}}});
    CHECK(turned_by_nothing == unturned);
}

TEST_CASE_TEMPLATE("positions of each sequence, repeated for all, and of packed tokens", T, float, double) {
    const AttentionInputs<T> in({.batch = 2, .query_length = 2, .key_length = 3, .head_dim = 4, .value_dim = 2});
    const std::vector<std::int32_t> queries = {5, 9, 4, 4}, keys = {3, 1, 2, 7, 8, 6}, query_sums = {0, 2, 4}, key_sums = {0, 3, 6};
    const RopeTable rope({.dims = 4}, 16);
    const AttentionOptions options{.rope = &rope};
    AttentionResult<T> of_each(in, options, {.query_positions = {queries.data(), {2, 2}}, .key_positions = {keys.data(), {2, 3}}});
    AttentionResult<T> repeated(in, options, {.query_positions = {queries.data(), {1, 2}}, .key_positions = {keys.data(), {1, 3}}});
    for (std::int64_t b = 0; b < 2; ++b) {
        const TensorView<const T, 4> query = parts(in.query.view, 0, b, 1), key = parts(in.key.view, 0, b, 1),
                                     value = parts(in.value.view, 0, b, 1);
        AttentionResult<T> own(
            query, key, value, options,
            {.query_positions = {queries.data() + b * 2, {1, 2}}, .key_positions = {keys.data() + b * 3, {1, 3}}});
        AttentionResult<T> first(query, key, value, options,
                                 {.query_positions = {queries.data(), {1, 2}}, .key_positions = {keys.data(), {1, 3}}});
        CHECK(same_rows(of_each, b, 0, own));
        CHECK(same_rows(repeated, b, 0, first));
    }
    // With one head, a batch lies in memory as packed sequences do.
    const AttentionResult<T> packed({in.query.data.data(), {1, 1, 4, 4}}, {in.key.data.data(), {1, 1, 6, 4}},
                                    {in.value.data.data(), {1, 1, 6, 2}}, options,
                                    {.cumulative_query_lengths = std::span(query_sums),
                                     .cumulative_key_lengths = std::span(key_sums),
                                     .query_positions = {queries.data(), {1, 4}},
                                     .key_positions = {keys.data(), {1, 6}}});
    CHECK(packed.out.data == of_each.out.data);
}

}  // namespace
}  // namespace headwise::test
