// Attention does not see where keys lie: over the pages of a cache it gives the bits that it gives over contiguous keys.
#include <doctest/doctest.h>

#include <array>
#include <vector>

#include "headwise/attention.hpp"
#include "headwise/attention_weights.hpp"
#include "tests/cache/tokens.hpp"
#include "tests/support/attention_case.hpp"
#include "tests/support/error_message.hpp"

namespace headwise::test {
namespace {

constexpr std::int64_t kHeads = 6, kKvHeads = 2;

/// Attention of `query`, and of each sequence's tokens as they lie in memory without a cache, one sequence at a time.
std::vector<std::vector<std::uint32_t>> contiguous_results(const StridedTensor& query, const std::vector<const Tokens*>& sequences,
                                                           const AttentionOptions& options) {
    std::vector<std::vector<std::uint32_t>> results;
    for (std::size_t b = 0; b < sequences.size(); ++b) {
        TensorView<const float, 4> one = query.view();
        one.data += static_cast<std::int64_t>(b) * one.stride[0];
        one.extent[0] = 1;
        PlainTensor<float> out({1, kHeads, one.extent[2], sequences[b]->value.view().extent[3]});
        attention(one, sequences[b]->key.view(), sequences[b]->value.view(), out.view, options);
        results.push_back(bits_of(out.view));
    }
    return results;
}

std::vector<std::uint32_t> bits_of_entry(TensorView<const float, 4> out, std::size_t b) {
    out.data += static_cast<std::int64_t>(b) * out.stride[0];
    out.extent[0] = 1;
    return bits_of(out);
}

/// Sequences of these lengths, the pages of which are taken in turn by appends of a few tokens.
void check_lengths(const KvCacheShape& shape, const std::vector<std::int64_t>& lengths, std::int64_t query_length, Causal causal) {
    RandomNumbers random(test_seed());
    KvCache cache(shape);
    poison(cache);
    std::vector<Tokens> tokens;
    std::vector<SequenceId> ids;
    for (const std::int64_t length : lengths) {
        tokens.emplace_back(random, cache.shape(), length);
        ids.push_back(cache.add_sequence());
    }
    for (std::size_t left = lengths.size(); left > 0;) {
        left = 0;
        for (std::size_t b = 0; b < lengths.size(); ++b) {
            const std::int64_t done = cache.length(ids[b]), n = std::min(lengths[b] - done, random.between(1, 40));
            auto key = tokens[b].key_view(), value = tokens[b].value_view();
            key.data += done * key.stride[1];
            value.data += done * value.stride[1];
            key.extent[1] = value.extent[1] = n;
            cache.append(ids[b], key, value);
            left += done + n < lengths[b];
        }
    }

    const auto batch_size = static_cast<std::int64_t>(lengths.size());
    StridedTensor query({batch_size, kHeads, query_length, shape.head_dim}, kBshd, Guard::above);
    query.fill_normal(random, 1);
    PlainTensor<float> out({batch_size, kHeads, query_length, shape.value_dim});
    const KvBatch batch = cache.make_batch(ids);
    attention({.query = query.view(),
               .key = cache.key_pages(),
               .value = cache.value_pages(),
               .out = out.view,
               .key_lengths = batch.key_lengths(),
               .page_table = batch.page_table()},
              {.causal = causal});

    std::vector<const Tokens*> pointers;
    for (const Tokens& t : tokens) pointers.push_back(&t);
    const auto expected = contiguous_results(query, pointers, {.causal = causal});
    for (std::size_t b = 0; b < lengths.size(); ++b) {
        INFO("page size " << shape.page_size << ", queries " << query_length << ", keys " << lengths[b]);
        CHECK(bits_of_entry(out.view, b) == expected[b]);
    }
}

TEST_CASE("decode and prefill over pages of any size give the bits of contiguous keys, sequence by sequence") {
    for (const std::int64_t page_size : {1, 3, 16, 64, 100, 1000})
        for (const std::int64_t query_length : {1, 2, 37}) {
            const KvCacheShape shape{
                .num_kv_heads = kKvHeads, .head_dim = 40, .value_dim = 24, .page_size = page_size, .pages = 1500 / page_size + 8};
            check_lengths(shape, {300, 1, 0, 64, 777}, query_length, Causal::none);
            check_lengths(shape, {300, 40, 129, 64, 777}, query_length, Causal::bottom_right);
        }
}

TEST_CASE("a batch of no sequences is a batch: there is nothing to do") {
    const KvCache cache({.num_kv_heads = kKvHeads, .head_dim = 16, .pages = 4});
    const KvBatch batch = cache.make_batch({});
    AttentionArguments arguments{.query = TensorView<const float, 4>(nullptr, {0, kHeads, 1, 16}),
                                 .key = cache.key_pages(),
                                 .value = cache.value_pages(),
                                 .out = TensorView<float, 4>(nullptr, {0, kHeads, 1, 16}),
                                 .key_lengths = batch.key_lengths(),
                                 .page_table = batch.page_table()};
    const auto run = [&] {
        attention(arguments, {.causal = Causal::bottom_right});
        attention_weights(arguments, {}, {}, {});
    };
    CHECK(message_of(run) == kNoError);
    // The same of packed queries.
    const std::int32_t no_sums[] = {0};
    arguments.cumulative_query_lengths = std::span<const std::int32_t>(no_sums);
    arguments.query.extent = arguments.out.extent = {1, kHeads, 0, 16};
    CHECK(message_of(run) == kNoError);
    // A batch of one has a length.
    arguments.cumulative_query_lengths = {};
    arguments.query.extent = {1, kHeads, 1, 16};
    check_message(message_of(run), {"key_lengths is empty"});
}

TEST_CASE("forks share what they have in common, and a fork's bits do not depend on how many there are") {
    RandomNumbers random(test_seed());
    KvCache cache({.num_kv_heads = kKvHeads, .head_dim = 16, .pages = 200});
    poison(cache);
    const SequenceId prompt = cache.add_sequence();
    append(cache, prompt, Tokens(random, cache.shape(), 1000));
    std::vector<SequenceId> forks;
    for (int i = 0; i < 20; ++i) {
        forks.push_back(cache.fork(prompt));
        append(cache, forks.back(), Tokens(random, cache.shape(), 1 + i));
    }
    StridedTensor query({20, kHeads, 1, 16}, kBshd, Guard::above);
    query.fill_normal(random, 1);
    const auto decode = [&](std::int64_t count) {
        const KvBatch batch = cache.make_batch(std::span(forks).first(static_cast<std::size_t>(count)));
        CHECK(batch.shared_keys() == 992);
        TensorView<const float, 4> queries = query.view();
        queries.extent[0] = count;
        PlainTensor<float> out({count, kHeads, 1, 16});
        attention({.query = queries,
                   .key = cache.key_pages(),
                   .value = cache.value_pages(),
                   .out = out.view,
                   .key_lengths = batch.key_lengths(),
                   .page_table = batch.page_table(),
                   .shared_keys = batch.shared_keys()},
                  {.causal = Causal::bottom_right, .shared_prefix = true});
        std::vector<std::vector<std::uint32_t>> bits;
        for (std::size_t b = 0; b < static_cast<std::size_t>(count); ++b) bits.push_back(bits_of_entry(out.view, b));
        return bits;
    };
    const auto all = decode(20), some = decode(3);
    for (std::size_t b = 0; b < some.size(); ++b) CHECK(some[b] == all[b]);
}

TEST_CASE("a fork decodes as its original does until they part") {
    RandomNumbers random(test_seed());
    KvCache cache({.num_kv_heads = kKvHeads, .head_dim = 16, .pages = 20});
    poison(cache);
    const Tokens prompt(random, cache.shape(), 70), token(random, cache.shape(), 1), other_token(random, cache.shape(), 1);
    const SequenceId a = cache.add_sequence();
    append(cache, a, prompt);
    const SequenceId b = cache.fork(a);
    StridedTensor query({2, kHeads, 1, 16}, Layout{.repeated = {true, false, false}}, Guard::above);
    query.fill_normal(random, 1);
    PlainTensor<float> out({2, kHeads, 1, 16});
    const auto decode = [&] {
        const KvBatch batch = cache.make_batch(std::array{a, b});
        attention({.query = query.view(),
                   .key = cache.key_pages(),
                   .value = cache.value_pages(),
                   .out = out.view,
                   .key_lengths = batch.key_lengths(),
                   .page_table = batch.page_table()});
        return bits_of_entry(out.view, 0) == bits_of_entry(out.view, 1);
    };
    CHECK(decode());
    append(cache, a, token);
    append(cache, b, token);
    CHECK(decode());
    append(cache, b, other_token);
    CHECK_FALSE(decode());
}

}  // namespace
}  // namespace headwise::test
