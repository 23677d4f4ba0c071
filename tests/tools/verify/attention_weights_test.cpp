// The second sweep: weights, the largest of them, and means, on random calls of all variants. HEADWISE_TEST_CASES=N tries N calls,
// HEADWISE_TEST_SEED=S starts with that of seed S.
#include "headwise/attention_weights.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "headwise/reference.hpp"
#include "tests/support/error_message.hpp"
#include "tests/support/random_numbers.hpp"
#include "verify/random_attention.hpp"

namespace headwise::tools {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// All results of one sweep, in memory of their own.
struct Sweep {
    Sweep(std::int64_t batch, std::int64_t heads, std::int64_t queries, std::int64_t keys, std::int64_t k)
        : weights(static_cast<std::size_t>(batch * heads * queries * keys), kNan),
          top_weights(static_cast<std::size_t>(batch * heads * queries * k), kNan),
          means(static_cast<std::size_t>(batch * heads * keys), kNan),
          top_keys(top_weights.size(), 12345),
          views{.weights = {weights.data(), {batch, heads, queries, keys}},
                .top_weights = {top_weights.data(), {batch, heads, queries, k}},
                .top_keys = {top_keys.data(), {batch, heads, queries, k}},
                .key_means = {means.data(), {batch, heads, keys}}} {}
    Sweep(const Sweep&) = delete;
    Sweep& operator=(const Sweep&) = delete;

    std::vector<float> weights, top_weights, means;
    std::vector<std::int32_t> top_keys;
    AttentionWeights views;
};

struct Case {
    explicit Case(std::uint64_t seed) : call(seed, 0, 5e4) {
        for (std::int64_t b = 0; b < call.shape.batch; ++b) {
            const auto i = static_cast<std::size_t>(b);
            const AttentionArguments& a = call.arguments;
            const bool ragged = !a.cumulative_query_lengths.empty();
            queries.push_back(ragged ? a.cumulative_query_lengths[i + 1] - a.cumulative_query_lengths[i]
                                     : (a.query_lengths.empty() ? a.query.extent[2] : a.query_lengths[i]));
            keys.push_back(!a.cumulative_key_lengths.empty() ? a.cumulative_key_lengths[i + 1] - a.cumulative_key_lengths[i]
                                                             : (a.key_lengths.empty() ? a.key.extent[2] : a.key_lengths[i]));
        }
        // As attention() without a plan has it.
        most_queries =
            call.arguments.cumulative_query_lengths.empty() ? call.arguments.query.extent[2] : *std::ranges::max_element(queries);
        most_keys = std::max<std::int64_t>(*std::ranges::max_element(keys), 1);
    }

    RandomAttention call;
    std::vector<std::int64_t> queries, keys;  // of each sequence
    std::int64_t most_queries, most_keys;
};

/// Runs attention for its log_sum_exp, which every call of the sweep needs.
bool run(Case& c, std::vector<float>& sums) {
    AttentionArguments& a = c.call.arguments;
    sums.assign(static_cast<std::size_t>(a.out.extent[0] * a.out.extent[1] * a.out.extent[2]), kNan);
    if (sums.empty()) return false;
    a.log_sum_exp = {sums.data(), {a.out.extent[0], a.out.extent[1], a.out.extent[2]}};
    attention(a, c.call.options);
    return true;
}

/// The weights by the reference, as a padded tensor whatever the layout of the call.
template <class T>
std::vector<T> reference_weights(const Case& c) {
    const AttentionArguments& a = c.call.arguments;
    const auto widened = [](const TensorView<const float, 4>& x, std::vector<T>& memory) {
        for (std::int64_t b = 0; b < x.extent[0]; ++b)
            for (std::int64_t h = 0; h < x.extent[1]; ++h)
                for (std::int64_t i = 0; i < x.extent[2]; ++i)
                    for (std::int64_t d = 0; d < x.extent[3]; ++d)
                        memory.push_back(
                            static_cast<T>(x.data[b * x.stride[0] + h * x.stride[1] + i * x.stride[2] + d * x.stride[3]]));
        return TensorView<const T, 4>(memory.data(), x.extent);
    };
    std::vector<T> query, key;
    const std::array<std::int64_t, 4> extents{a.query.extent[0], a.query.extent[1], a.query.extent[2], c.most_keys};
    std::vector<T> packed(static_cast<std::size_t>(extents[0] * extents[1] * extents[2] * extents[3]));
    AttentionArguments rules = a;
    rules.log_sum_exp = {};
    reference::attention_weights<T>(widened(a.query, query), widened(a.key, key), {packed.data(), extents}, c.call.options, rules);
    if (a.cumulative_query_lengths.empty()) return packed;

    const std::int64_t batch = c.call.shape.batch, heads = extents[1];
    std::vector<T> padded(static_cast<std::size_t>(batch * heads * c.most_queries * c.most_keys));
    for (std::int64_t b = 0; b < batch; ++b)
        for (std::int64_t h = 0; h < heads; ++h)
            for (std::int64_t i = 0; i < c.queries[static_cast<std::size_t>(b)]; ++i)
                std::copy_n(
                    packed.begin() + (h * extents[2] + a.cumulative_query_lengths[static_cast<std::size_t>(b)] + i) * c.most_keys,
                    c.most_keys, padded.begin() + ((b * heads + h) * c.most_queries + i) * c.most_keys);
    return padded;
}

enum class LogSumExp { given, none };

/// Random calls, each with and without the log-sum-exp.
template <class Function>
void for_cases(int count, Function function) {
    const int cases = test::test_cases(count);
    for (int i = 0; i < cases; ++i) {
        const std::uint64_t seed = test::test_seed() + static_cast<std::uint64_t>(i);
        Case c(seed);
        std::vector<float> sums;
        if (!run(c, sums)) continue;
        const TensorView<float, 3> given = c.call.arguments.log_sum_exp;
        for (const LogSumExp which : {LogSumExp::given, LogSumExp::none}) {
            INFO(test::reproduction(seed));
            INFO(c.call.text() << (which == LogSumExp::given ? ", log-sum-exp given" : ""));
            c.call.arguments.log_sum_exp = which == LogSumExp::given ? given : TensorView<float, 3>{};
            function(c);
        }
    }
}

TEST_CASE("weights are as exact as those of the naive loops") {
    for_cases(250, [](Case& c) {
        const std::int64_t heads = c.call.shape.num_heads;
        Sweep sweep(c.call.shape.batch, heads, c.most_queries, c.most_keys, 1);
        attention_weights(c.call.arguments, c.call.options, {}, {.weights = sweep.views.weights});
        const std::vector<double> exact = reference_weights<double>(c);
        const std::vector<float> naive = reference_weights<float>(c);
        double error = 0, naive_error = 0;
        for (std::size_t i = 0; i < exact.size(); ++i) {
            error = std::max(error, std::abs(static_cast<double>(sweep.weights[i]) - exact[i]));
            naive_error = std::max(naive_error, std::abs(static_cast<double>(naive[i]) - exact[i]));
        }
        // The logarithm of the sum, where it is given, comes rounded to f32.
        double largest = 0;
        const TensorView<float, 3>& sums = c.call.arguments.log_sum_exp;
        for (std::int64_t i = 0; i < sums.extent[0] * sums.extent[1] * sums.extent[2]; ++i)
            if (std::isfinite(sums.data[i])) largest = std::max(largest, std::abs(static_cast<double>(sums.data[i])));
        CHECK(error <= 2 * naive_error + 0x1p-21 * (largest + 2));
    });
}

TEST_CASE("the largest weights and the means are those of the weights") {
    for_cases(250, [](Case& c) {
        const std::int64_t heads = c.call.shape.num_heads, k = 1 + static_cast<std::int64_t>(c.most_keys % 7);
        Sweep sweep(c.call.shape.batch, heads, c.most_queries, c.most_keys, k);
        attention_weights(c.call.arguments, c.call.options, {}, sweep.views);
        for (std::int64_t b = 0; b < c.call.shape.batch; ++b)
            for (std::int64_t h = 0; h < heads; ++h) {
                const std::int64_t queries = c.queries[static_cast<std::size_t>(b)];
                std::vector<double> sums(static_cast<std::size_t>(c.most_keys));
                for (std::int64_t q = 0; q < c.most_queries; ++q) {
                    const std::int64_t row = (b * heads + h) * c.most_queries + q;
                    const float* weights = sweep.weights.data() + row * c.most_keys;
                    std::vector<std::int32_t> order(static_cast<std::size_t>(c.most_keys));
                    std::iota(order.begin(), order.end(), 0);
                    std::ranges::sort(order,
                                      [&](auto x, auto y) { return weights[x] != weights[y] ? weights[x] > weights[y] : x < y; });
                    for (std::int64_t i = 0; i < k; ++i) {
                        const bool there = i < c.most_keys && weights[order[static_cast<std::size_t>(i)]] > 0;
                        const auto at = static_cast<std::size_t>(row * k + i);
                        CHECK(sweep.top_keys[at] == (there ? order[static_cast<std::size_t>(i)] : -1));
                        CHECK(sweep.top_weights[at] == (there ? weights[order[static_cast<std::size_t>(i)]] : 0));
                    }
                    for (std::size_t j = 0; j < sums.size(); ++j) sums[j] += static_cast<double>(weights[j]);
                }
                for (std::size_t j = 0; j < sums.size(); ++j) {
                    const double mean = queries > 0 ? sums[j] / static_cast<double>(queries) : 0;
                    const auto at = static_cast<std::size_t>((b * heads + h) * c.most_keys) + j;
                    CHECK(std::abs(static_cast<double>(sweep.means[at]) - mean) <= 1e-5 * mean + 1e-12);
                }
            }
    });
}

TEST_CASE("chosen heads and queries have the bits that they have among all, on any number of workers") {
    for_cases(200, [](Case& c) {
        const std::int64_t all_heads = c.call.shape.num_heads;
        std::vector<std::int32_t> heads, queries;
        for (std::int32_t h = 0; h < all_heads; h += 1 + h % 3) heads.push_back(h);
        for (std::int32_t q = 0; q < c.most_queries; q += 1 + q % 4) queries.push_back(q);
        if (queries.empty()) return;
        Sweep all(c.call.shape.batch, all_heads, c.most_queries, c.most_keys, 3);
        Sweep some(c.call.shape.batch, std::ssize(heads), std::ssize(queries), c.most_keys, 3);
        AttentionOptions alone = c.call.options;
        alone.max_threads = 1;
        attention_weights(c.call.arguments, alone, {}, all.views);
        attention_weights(c.call.arguments, c.call.options, {heads, queries}, some.views);
        const auto row = [](const auto& view, std::int64_t b, std::int64_t h, std::int64_t q) {
            const auto* data = view.data + b * view.stride[0] + h * view.stride[1] + q * view.stride[2];
            return std::vector(data, data + view.extent[3]);
        };
        for (std::int64_t b = 0; b < c.call.shape.batch; ++b)
            for (std::size_t h = 0; h < heads.size(); ++h)
                for (std::size_t q = 0; q < queries.size(); ++q) {
                    const auto x = static_cast<std::int64_t>(h), y = static_cast<std::int64_t>(q);
                    CHECK(row(some.views.weights, b, x, y) == row(all.views.weights, b, heads[h], queries[q]));
                    CHECK(row(some.views.top_weights, b, x, y) == row(all.views.top_weights, b, heads[h], queries[q]));
                    CHECK(row(some.views.top_keys, b, x, y) == row(all.views.top_keys, b, heads[h], queries[q]));
                }
    });
}

TEST_CASE("what does not fit is refused before anything is written") {
    std::vector<float> q(2 * 3 * 4, 1.0f), k(2 * 5 * 4, 1.0f), v(k), out(q.size()), sums(6, 7.0f);
    AttentionArguments a{.query = bhsd<const float>(q.data(), 1, 2, 3, 4),
                         .key = bhsd<const float>(k.data(), 1, 2, 5, 4),
                         .value = bhsd<const float>(v.data(), 1, 2, 5, 4),
                         .out = bhsd(out.data(), 1, 2, 3, 4),
                         .log_sum_exp = {sums.data(), {1, 2, 3}}};
    const auto message = [&](const AttentionWeightsRequest& request, const AttentionWeights& results) {
        return test::message_of([&] { attention_weights(a, {}, request, results); });
    };
    const std::int32_t twice[] = {0, 0}, beyond[] = {2}, negative[] = {-1};
    test::check_message(message({.heads = twice}, {}), {"request.heads[1] is 0", "ascending"});
    test::check_message(message({.heads = beyond}, {}), {"request.heads[0] is 2", "below 2"});
    test::check_message(message({.queries = negative}, {}), {"request.queries[0] is -1", "below 3"});
    Sweep sweep(1, 2, 3, 5, 2);
    AttentionWeights results = sweep.views;
    results.weights.extent[3] = 4;
    test::check_message(message({}, results), {"weights.extent[3] is 4", "at least 5"});
    results = sweep.views;
    results.top_keys.data = nullptr;
    test::check_message(message({}, results), {"top_keys.data is null"});
    results = sweep.views;
    results.key_means.data = sweep.weights.data();
    test::check_message(message({}, results), {"weights overlaps key_means"});
    results = sweep.views;
    results.weights.data = q.data();
    test::check_message(message({}, {.weights = {q.data(), {1, 2, 3, 5}}}), {"weights overlaps query"});
    const auto* chosen = reinterpret_cast<const std::int32_t*>(sweep.top_keys.data());
    std::ranges::fill(sweep.top_keys, 0);
    test::check_message(message({.heads = {chosen, 1}},
                                {.top_weights = {out.data(), {1, 1, 3, 2}}, .top_keys = {sweep.top_keys.data(), {1, 1, 3, 2}}}),
                        {"top_keys overlaps request.heads"});
    test::check_message(message({.queries = {chosen, 1}},
                                {.top_weights = {out.data(), {1, 2, 1, 2}}, .top_keys = {sweep.top_keys.data(), {1, 2, 1, 2}}}),
                        {"top_keys overlaps request.queries"});
    a.log_sum_exp.extent[2] = 2;
    test::check_message(message({}, sweep.views), {"log_sum_exp.extent[2] is 2", "expected 3"});
    CHECK(std::ranges::all_of(sweep.weights, [](float x) { return std::isnan(x); }));
    CHECK(std::ranges::all_of(sweep.means, [](float x) { return std::isnan(x); }));
}

}  // namespace
}  // namespace headwise::tools
