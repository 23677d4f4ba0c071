// What a cache of pages does, case by case. kv_cache_random_test.cpp tries the rest.
#include "headwise/kv_cache.hpp"

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tests/cache/tokens.hpp"
#include "tests/support/error_message.hpp"

namespace headwise::test {
namespace {

constexpr KvCacheShape kShape{.num_kv_heads = 2, .head_dim = 6, .value_dim = 3, .page_size = 4, .pages = 8};

/// A cache of poisoned pages, and the source of tokens for it.
struct Fixture {
    explicit Fixture(const KvCacheShape& shape = kShape) : cache(shape) { poison(cache); }

    Tokens tokens(std::int64_t n) { return Tokens(random, cache.shape(), n); }
    /// Appends n tokens and returns them.
    Rows append(SequenceId sequence, std::int64_t n) {
        const Tokens added = tokens(n);
        test::append(cache, sequence, added);
        return rows_of(added);
    }

    RandomNumbers random{test_seed()};
    KvCache cache;
};

TEST_CASE("tokens are read back as they were appended, over page borders") {
    Fixture f;
    const SequenceId sequence = f.cache.add_sequence();
    CHECK(f.cache.length(sequence) == 0);
    CHECK(f.cache.pages(sequence).empty());
    Rows expected;
    for (const std::int64_t n : {3, 1, 1, 9, 4}) {
        expected = joined(expected, f.append(sequence, n));
        CHECK(f.cache.length(sequence) == static_cast<std::int64_t>(expected.size()));
        CHECK(rows_of(f.cache, sequence) == expected);
    }
    CHECK(f.cache.pages(sequence).size() == 5);
    CHECK(f.cache.free_pages() == 3);
}

TEST_CASE("pages of one token, and a page that no sequence fills") {
    for (const std::int64_t page_size : {1, 1000}) {
        Fixture f({.num_kv_heads = 3, .head_dim = 5, .page_size = page_size, .pages = 20});
        const SequenceId a = f.cache.add_sequence(), b = f.cache.add_sequence();
        const Rows of_a = f.append(a, 7), of_b = f.append(b, 5);
        CHECK(f.cache.free_pages() == (page_size == 1 ? 20 - 12 : 18));
        const SequenceId c = f.cache.fork(a);
        const Rows of_c = joined(of_a, f.append(c, 2));
        CHECK(rows_of(f.cache, a) == of_a);
        CHECK(rows_of(f.cache, b) == of_b);
        CHECK(rows_of(f.cache, c) == of_c);
    }
}

TEST_CASE("the pools have the extents that attention takes, and begin at a cache line") {
    const KvCache cache({.num_kv_heads = 2, .head_dim = 6, .page_size = 4, .pages = 3});
    CHECK(cache.shape().value_dim == 6);
    CHECK(KvCacheShape{}.page_size == 16);
    const Fixture f;
    CHECK(f.cache.key_pages().extent == std::array<std::int64_t, 4>{8, 2, 4, 6});
    CHECK(f.cache.value_pages().extent == std::array<std::int64_t, 4>{8, 2, 4, 3});
    CHECK(f.cache.value_pages().stride == std::array<std::int64_t, 4>{24, 12, 3, 1});
    CHECK(reinterpret_cast<std::uintptr_t>(f.cache.key_pages().data) % 64 == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(f.cache.value_pages().data) % 64 == 0);
}

TEST_CASE("keys and values of any strides: packed tokens, gaps, backwards, repeated") {
    Fixture f({.num_kv_heads = 3, .head_dim = 7, .value_dim = 5, .page_size = 3, .pages = 200});
    for (int i = 0; i < 60; ++i) {
        const Layout key = i == 0 ? kBshd : random_layout(f.random, true), value = i == 0 ? kBshd : random_layout(f.random, true);
        CAPTURE(key.text());
        CAPTURE(value.text());
        const Tokens tokens(f.random, f.cache.shape(), f.random.between(0, 8), key, value);
        const SequenceId sequence = f.cache.add_sequence();
        append(f.cache, sequence, tokens);
        CHECK(rows_of(f.cache, sequence) == rows_of(tokens));
        if (f.cache.free_pages() < 10) break;
    }
}

TEST_CASE("no tokens change nothing, whatever is shared") {
    Fixture f;
    const SequenceId a = f.cache.add_sequence();
    f.cache.append(a, {nullptr, {2, 0, 6}}, {nullptr, {2, 0, 3}});
    CHECK(f.cache.length(a) == 0);
    f.append(a, 5);
    const SequenceId b = f.cache.fork(a);
    f.append(b, 0);
    CHECK(f.cache.pages_needed(b, 0) == 0);
    CHECK(f.cache.free_pages() == 6);
    CHECK(f.cache.pages(b)[1] == f.cache.pages(a)[1]);
}

// ------------------------------------------------------------------------------------------------------------- sharing pages

TEST_CASE("a fork takes no page; the first to append copies the last page, the other then writes in place") {
    for (const bool fork_first : {true, false}) {
        CAPTURE(fork_first);
        Fixture f;
        const SequenceId a = f.cache.add_sequence();
        const Rows common = f.append(a, 6);
        const SequenceId b = f.cache.fork(a);
        CHECK(f.cache.free_pages() == 6);
        CHECK(rows_of(f.cache, b) == common);
        CHECK(f.cache.pages_needed(a, 1) == 1);
        CHECK(f.cache.pages_needed(b, 2) == 1);
        CHECK(f.cache.pages_needed(b, 3) == 2);

        const auto [one, other] = fork_first ? std::pair(b, a) : std::pair(a, b);
        const std::int32_t shared = f.cache.pages(a)[1];
        const Rows of_one = joined(common, f.append(one, 1));
        CHECK(f.cache.free_pages() == 5);
        CHECK(f.cache.pages(one)[0] == f.cache.pages(other)[0]);
        CHECK(f.cache.pages(one)[1] != shared);
        CHECK(f.cache.pages_needed(other, 2) == 0);
        const Rows of_other = joined(common, f.append(other, 2));
        CHECK(f.cache.pages(other)[1] == shared);
        CHECK(f.cache.free_pages() == 5);
        CHECK(rows_of(f.cache, one) == of_one);
        CHECK(rows_of(f.cache, other) == of_other);
    }
}

TEST_CASE("a full last page is shared for good") {
    Fixture f;
    const SequenceId a = f.cache.add_sequence();
    const Rows common = f.append(a, 8);
    const SequenceId b = f.cache.fork(a);
    const Rows of_a = joined(common, f.append(a, 1)), of_b = joined(common, f.append(b, 2));
    CHECK(f.cache.free_pages() == 4);
    CHECK(f.cache.pages(a)[1] == f.cache.pages(b)[1]);
    CHECK(rows_of(f.cache, a) == of_a);
    CHECK(rows_of(f.cache, b) == of_b);
}

TEST_CASE("truncating into a shared page writes nothing, and the next append copies it") {
    Fixture f;
    const SequenceId a = f.cache.add_sequence();
    const Rows all = f.append(a, 12);
    const SequenceId b = f.cache.fork(a);
    f.cache.truncate(b, 5);
    CHECK(f.cache.length(b) == 5);
    CHECK(f.cache.pages(b).size() == 2);
    CHECK(f.cache.free_pages() == 5);  // the third page is still held by a
    CHECK(f.cache.pages_needed(b, 3) == 1);
    CHECK(rows_of(f.cache, a) == all);
    CHECK(rows_of(f.cache, b) == first(all, 5));

    const Rows of_b = joined(first(all, 5), f.append(b, 3));
    CHECK(rows_of(f.cache, a) == all);
    CHECK(rows_of(f.cache, b) == of_b);
    CHECK(f.cache.pages(a)[0] == f.cache.pages(b)[0]);
    CHECK(f.cache.pages(a)[1] != f.cache.pages(b)[1]);
}

TEST_CASE("truncating to a page border leaves full pages, which no append copies") {
    Fixture f;
    const SequenceId a = f.cache.add_sequence();
    const Rows all = f.append(a, 10);
    const SequenceId b = f.cache.fork(a);
    f.cache.truncate(b, 8);
    CHECK(f.cache.pages_needed(b, 4) == 1);
    const Rows of_b = joined(first(all, 8), f.append(b, 4));
    CHECK(f.cache.pages(a)[1] == f.cache.pages(b)[1]);
    CHECK(rows_of(f.cache, a) == all);
    CHECK(rows_of(f.cache, b) == of_b);
}

TEST_CASE("a sequence that has its pages to itself is truncated and written again in place") {
    Fixture f;
    const SequenceId a = f.cache.add_sequence();
    const Rows all = f.append(a, 10);
    f.cache.truncate(a, 10);
    CHECK(f.cache.free_pages() == 5);
    f.cache.truncate(a, 6);
    CHECK(f.cache.free_pages() == 6);
    CHECK(f.cache.pages_needed(a, 2) == 0);
    CHECK(rows_of(f.cache, a) == first(all, 6));
    const Rows again = joined(first(all, 6), f.append(a, 5));
    CHECK(rows_of(f.cache, a) == again);
    f.cache.truncate(a, 0);
    CHECK(f.cache.free_pages() == 8);
    CHECK(f.cache.pages(a).empty());
}

TEST_CASE("a page is free when the last of its sequences is removed, in any order") {
    for (const bool original_first : {true, false}) {
        Fixture f;
        const SequenceId a = f.cache.add_sequence();
        const Rows common = f.append(a, 7);
        const SequenceId b = f.cache.fork(a), c = f.cache.fork(b);
        const Rows of_c = joined(common, f.append(c, 1));
        f.cache.remove(original_first ? a : b);
        CHECK(rows_of(f.cache, original_first ? b : a) == common);
        CHECK(f.cache.pages_needed(original_first ? b : a, 1) == 0);  // nobody else has the last page now
        f.cache.remove(original_first ? b : a);
        CHECK(f.cache.free_pages() == 6);
        CHECK(rows_of(f.cache, c) == of_c);
        f.cache.remove(c);
        CHECK(f.cache.free_pages() == 8);
    }
}

// ---------------------------------------------------------------------------------------------------------------- exhaustion

TEST_CASE("an append that does not fit says what is needed and free, and changes nothing") {
    Fixture f;
    const SequenceId a = f.cache.add_sequence();
    const Rows of_a = f.append(a, 18);
    const SequenceId b = f.cache.fork(a);
    const std::vector<std::int32_t> pages(f.cache.pages(b).begin(), f.cache.pages(b).end());
    CHECK(f.cache.pages_needed(b, 13) == 4);  // two in a copy of the last page, and three more pages
    const Tokens tokens = f.tokens(13);
    CHECK(message_of([&] { append(f.cache, b, tokens); }) ==
          "key.extent[1] is 13: the append needs 4 free pages of 4 tokens, 3 are free");
    CHECK(f.cache.length(b) == 18);
    CHECK(f.cache.free_pages() == 3);
    CHECK(std::vector<std::int32_t>(f.cache.pages(b).begin(), f.cache.pages(b).end()) == pages);
    CHECK(rows_of(f.cache, a) == of_a);
    CHECK(rows_of(f.cache, b) == of_a);

    const Rows of_b = joined(of_a, f.append(b, 10));
    CHECK(f.cache.free_pages() == 0);
    CHECK(rows_of(f.cache, b) == of_b);
    f.append(a, 2);  // its last page is its own again
    check_error([&] { f.append(a, 1); }, {"needs 1 free pages", "0 are free"});
}

TEST_CASE("a copy alone may be what does not fit") {
    Fixture f({.num_kv_heads = 1, .head_dim = 2, .page_size = 4, .pages = 1});
    const SequenceId a = f.cache.add_sequence();
    const Rows of_a = f.append(a, 2);
    const SequenceId b = f.cache.fork(a);
    check_error([&] { f.append(b, 1); }, {"needs 1 free pages", "0 are free"});
    f.cache.remove(a);
    const Rows of_b = joined(of_a, f.append(b, 2));
    CHECK(rows_of(f.cache, b) == of_b);
}

TEST_CASE("a number of tokens beyond all memory is too much, not an overflow") {
    Fixture f({.num_kv_heads = 1, .head_dim = 2, .page_size = 1, .pages = 4});
    constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
    const SequenceId a = f.cache.add_sequence();
    f.append(a, 2);
    CHECK(f.cache.pages_needed(a, kLargest) > 4);
    const float row[2] = {};
    check_error([&] { f.cache.append(a, {row, {1, kLargest, 2}, {0, 0, 1}}, {row, {1, kLargest, 2}, {0, 0, 1}}); },
                {"key.extent[1] is 9223372036854775807", "2 are free"});
}

// ------------------------------------------------------------------------------------------------------------- ids, batches

TEST_CASE("ids are values: equal to their copies alone, never given twice, ordered by age, keys of maps") {
    KvCache cache(kShape), other(kShape);
    std::unordered_set<SequenceId> ids{SequenceId{}};
    SequenceId last;
    for (int i = 0; i < 100; ++i) {
        const SequenceId id = i % 2 == 0 ? cache.add_sequence() : other.add_sequence();
        CHECK(ids.insert(id).second);
        CHECK(last < id);
        last = id;
        CHECK(cache.contains(id) == (i % 2 == 0));
        CHECK(other.contains(id) == (i % 2 == 1));
        if (i % 2 == 0) cache.remove(id);
        CHECK_FALSE(cache.contains(id));
    }
    CHECK_FALSE(cache.contains(SequenceId{}));
}

TEST_CASE("a batch lists pages and lengths, 0 beyond a sequence's last page") {
    Fixture f;
    const SequenceId a = f.cache.add_sequence(), b = f.cache.add_sequence(), c = f.cache.add_sequence();
    f.append(a, 3);
    f.append(b, 9);
    const std::array<SequenceId, 4> sequences{b, a, c, b};
    KvBatch batch;
    f.cache.make_batch(sequences, batch);
    CHECK(batch.batch_size() == 4);
    const auto table = batch.page_table();
    CHECK(table.extent == std::array<std::int64_t, 2>{4, 3});
    const auto p = f.cache.pages(b);
    const std::vector<std::int32_t> expected{p[0], p[1], p[2], f.cache.pages(a)[0], 0, 0, 0, 0, 0, p[0], p[1], p[2]};
    CHECK(std::vector<std::int32_t>(table.data, table.data + 12) == expected);
    const auto lengths = batch.key_lengths();
    CHECK(std::vector<std::int32_t>(lengths.begin(), lengths.end()) == std::vector<std::int32_t>{9, 3, 0, 9});

    f.cache.make_batch({&a, 1}, batch);  // made anew, smaller
    CHECK(batch.page_table().extent == std::array<std::int64_t, 2>{1, 1});
    CHECK(batch.key_lengths()[0] == 3);
}

TEST_CASE("a batch tells how many leading keys all its sequences have in common, in whole pages of which each is full") {
    Fixture f;  // pages of 4
    const std::int64_t page = f.cache.shape().page_size;
    const SequenceId a = f.cache.add_sequence(), stranger = f.cache.add_sequence();
    f.append(a, 3 * page - 1);
    f.append(stranger, 2 * page);
    const SequenceId b = f.cache.fork(a), c = f.cache.fork(a);
    const auto shared = [&](std::initializer_list<SequenceId> ids) {
        return f.cache.make_batch({ids.begin(), ids.size()}).shared_keys();
    };
    CHECK(shared({}) == 0);
    CHECK(shared({a}) == 0);
    CHECK(shared({a, b, c}) == 2 * page);  // the last page is not full
    f.append(b, 1);
    CHECK(shared({b, a}) == 2 * page);
    f.cache.truncate(c, 2 * page - 1);
    CHECK(shared({a, b, c}) == page);
    CHECK(shared({b, b}) == 3 * page);
    CHECK(shared({a, stranger, b}) == 0);
}

TEST_CASE("a batch without sequences or tokens has a table all the same: keys are paged") {
    Fixture f;
    const SequenceId empty = f.cache.add_sequence();
    CHECK(f.cache.make_batch({}).page_table().data != nullptr);
    CHECK(f.cache.make_batch({}).key_lengths().empty());
    CHECK(f.cache.make_batch({&empty, 1}).page_table().data != nullptr);
    CHECK(f.cache.make_batch({&empty, 1}).page_table().extent == std::array<std::int64_t, 2>{1, 1});
    CHECK(KvBatch().page_table().data != nullptr);
}

TEST_CASE("a cache can be moved: ids and views stay valid") {
    Fixture f;
    const SequenceId a = f.cache.add_sequence();
    const Rows of_a = f.append(a, 5);
    const float* pool = f.cache.key_pages().data;
    KvCache moved(std::move(f.cache));
    CHECK(moved.key_pages().data == pool);
    CHECK(rows_of(moved, a) == of_a);
    f.cache = std::move(moved);
    CHECK(rows_of(f.cache, a) == of_a);
    CHECK(f.cache.free_pages() == 6);
}

}  // namespace
}  // namespace headwise::test
