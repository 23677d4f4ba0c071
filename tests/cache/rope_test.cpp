// Keys that are turned as they are appended have the bits that apply_rope() gives all of them at once.
#include <doctest/doctest.h>

#include <vector>

#include "headwise/kv_cache.hpp"
#include "headwise/rope.hpp"
#include "tests/cache/tokens.hpp"
#include "tests/support/error_message.hpp"

namespace headwise::test {
namespace {

/// What a cache should hold of tokens that begin at position 0.
Rows turned_rows(const Tokens& tokens, const RopeTable& table) {
    const TensorView<const float, 4> key = tokens.key.view();
    PlainTensor<float> turned(key.extent);
    apply_rope(key, turned.view, table);
    Rows rows = rows_of(tokens);
    for_each_element(key.extent, [&](std::int64_t b, std::int64_t h, std::int64_t s, std::int64_t d) {
        rows[static_cast<std::size_t>(s)][static_cast<std::size_t>(h * key.extent[3] + d)] = element(turned.view, b, h, s, d);
    });
    return rows;
}

/// Tokens first .. first + n - 1 of the 20.
void append_part(KvCache& cache, SequenceId sequence, const Tokens& tokens, std::int64_t first, std::int64_t n) {
    auto key = tokens.key_view(), value = tokens.value_view();
    key.data += first * key.stride[1];
    value.data += first * value.stride[1];
    key.extent[1] = value.extent[1] = n;
    cache.append(sequence, key, value);
}

TEST_CASE("keys of a paged cache are turned for their positions, in any portions; values and other elements are not") {
    RandomNumbers random(test_seed());
    for (const RopePairs pairs : {RopePairs::interleaved, RopePairs::half_split})
        for (const std::int64_t page_size : {1, 3, 16, 64}) {
            const RopeTable table({.dims = 8, .pairs = pairs}, 20);
            KvCache cache({.num_kv_heads = 2, .head_dim = 11, .value_dim = 5, .page_size = page_size, .pages = 64}, &table);
            const Tokens tokens(random, cache.shape(), 20, random_layout(random, false));
            const Rows expected = turned_rows(tokens, table);
            const SequenceId sequence = cache.add_sequence();
            append_part(cache, sequence, tokens, 0, 7);
            append_part(cache, sequence, tokens, 7, 1);
            append_part(cache, sequence, tokens, 8, 12);
            CHECK(rows_of(cache, sequence) == expected);

            const SequenceId other = cache.fork(sequence);
            cache.truncate(other, 5);
            append_part(cache, other, tokens, 5, 9);  // copied keys are not turned again
            CHECK(rows_of(cache, other) == first(expected, 14));
            CHECK(rows_of(cache, sequence) == expected);
        }
}

TEST_CASE("keys of a contiguous cache are turned for their positions") {
    RandomNumbers random(test_seed());
    const RopeTable table({.dims = 6}, 12);
    PlainTensor<float> key_cache({2, 3, 12, 6}), value_cache({2, 3, 12, 4}), turned({1, 3, 5, 6});
    StridedTensor key({2, 3, 5, 6}, kBshd, Guard::above), value({2, 3, 5, 4}, kBshd, Guard::above);
    key.fill_normal(random, 1);
    value.fill_normal(random, 1);
    std::vector<std::int32_t> lengths{7, 2};
    append_in_place(key_cache.view, value_cache.view, lengths, key.view(), value.view(), &table);
    for (const std::int64_t b : {0, 1}) {
        const std::int64_t position = b == 0 ? 7 : 2;
        TensorView<const float, 4> sequence = key.view();
        sequence.data += b * sequence.stride[0];
        sequence.extent[0] = 1;
        apply_rope(sequence, turned.view, table, {}, position);
        std::int64_t wrong = 0;
        for_each_element(turned.view.extent, [&](std::int64_t, std::int64_t h, std::int64_t s, std::int64_t d) {
            wrong += element(key_cache.view, b, h, position + s, d) != element(turned.view, 0, h, s, d);
            wrong += d < 4 && element(value_cache.view, b, h, position + s, d) != value.at(b, h, s, d);
        });
        CHECK(wrong == 0);
    }
}

TEST_CASE("a table that turns more than a key has, or ends too early, is refused by name") {
    RandomNumbers random(test_seed());
    const RopeTable table({.dims = 6}, 10);
    check_error([&] { const KvCache cache({.head_dim = 5, .pages = 1}, &table); },
                {"rope->options().dims is 6", "at most 5", "head dimension"});
    KvCache cache({.head_dim = 6, .pages = 4}, &table);
    const SequenceId sequence = cache.add_sequence();
    append(cache, sequence, Tokens(random, cache.shape(), 8));
    check_error([&] { append(cache, sequence, Tokens(random, cache.shape(), 3)); },
                {"rope->positions() is 10", "3 tokens from position 8 on"});
    CHECK(cache.length(sequence) == 8);
    append(cache, sequence, Tokens(random, cache.shape(), 2));
    append(cache, sequence, Tokens(random, cache.shape(), 0));
    CHECK(cache.length(sequence) == 10);
}

}  // namespace
}  // namespace headwise::test
