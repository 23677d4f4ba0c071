// Caches with the head dimensions, page sizes and groups of models in use, against contiguous keys and values.
#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "headwise/attention.hpp"
#include "tests/cache/tokens.hpp"
#include "tests/support/attention_case.hpp"
#include "tests/support/bound_use.hpp"

namespace headwise::test {
namespace {

struct Heads {
    std::int64_t query_heads, kv_heads;
};

/// The prompt, then a few tokens, then one by one.
void append_in_pieces(KvCache& cache, SequenceId sequence, const Tokens& tokens, std::int64_t count) {
    const auto append_some = [&](std::int64_t begin, std::int64_t end) {
        const auto part = [&](TensorView<const float, 3> view) {
            view.data += begin * view.stride[1];
            view.extent[1] = end - begin;
            return view;
        };
        cache.append(sequence, part(tokens.key_view()), part(tokens.value_view()));
    };
    const std::int64_t prompt = count - 10;
    append_some(0, prompt);
    append_some(prompt, prompt + 6);
    for (std::int64_t i = prompt + 6; i < count; ++i) append_some(i, i + 1);
}

void check_cache(std::int64_t dim, std::int64_t page_size, const Heads& heads, std::int64_t queries, std::int64_t keys) {
    INFO("dimension " << dim << " page size " << page_size << " heads " << heads.query_heads << "/" << heads.kv_heads << " queries "
                      << queries << " keys " << keys);
    RandomNumbers random(test_seed());
    const KvCacheShape shape{.num_kv_heads = heads.kv_heads, .head_dim = dim, .page_size = page_size, .pages = 64};
    KvCache cache(shape);
    poison(cache);
    const Tokens others(random, shape, 40), tokens(random, shape, keys);
    const SequenceId neighbour = cache.add_sequence(), sequence = cache.add_sequence();
    append(cache, neighbour, others);  // so that the first page is somebody else's
    append_in_pieces(cache, sequence, tokens, keys);

    StridedTensor query({1, heads.query_heads, queries, dim}, kBhsd, Guard::above);
    query.fill_normal(random, 1);
    const StridedTensor paged({1, heads.query_heads, queries, dim}, kBhsd, Guard::above);
    const StridedTensor contiguous({1, heads.query_heads, queries, dim}, kBhsd, Guard::above);
    const KvBatch batch = cache.make_batch({&sequence, 1});
    const AttentionOptions options{.causal = Causal::bottom_right};
    attention({.query = query.view(),
               .key = cache.key_pages(),
               .value = cache.value_pages(),
               .out = paged.view(),
               .key_lengths = batch.key_lengths(),
               .page_table = batch.page_table()},
              options);
    const AttentionArguments plain{
        .query = query.view(), .key = tokens.key.view(), .value = tokens.value.view(), .out = contiguous.view()};
    attention(plain, options);
    CHECK(bits_of(paged.view()) == bits_of(contiguous.view()));
    const BoundUse use = use_of_bound(AttentionErrorBound(options, plain), paged.view());
    CHECK_MESSAGE(use.within(), use.worst);
}

TEST_CASE("attention over a cache is attention over contiguous tokens, bit for bit, with the sizes of models in use") {
    for (const std::int64_t dim : {64, 80, 96, 128, 256})
        for (const std::int64_t page_size : {16, 64, 256})
            for (const Heads& heads : {Heads{8, 1}, Heads{32, 8}}) {
                check_cache(dim, page_size, heads, 1, 300);
                check_cache(dim, page_size, heads, 3, 513);
            }
}

TEST_CASE("a prompt that is appended and attended to at once") {
    for (const std::int64_t dim : {64, 80, 128})
        for (const std::int64_t page_size : {16, 256}) check_cache(dim, page_size, {8, 1}, 100, 100);
}

}  // namespace
}  // namespace headwise::test
