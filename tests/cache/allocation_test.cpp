// A decode step on caches that have grown allocates nothing. The counter replaces malloc, so this is a program of its own.
#include "tests/support/allocation_counter.hpp"

#include <doctest/doctest.h>

#include <array>

#include "tests/cache/tokens.hpp"

namespace headwise::test {
namespace {

TEST_CASE("sequences in the place of removed ones, forks and batches allocate nothing once all has held as much") {
    RandomNumbers random(test_seed());
    KvCache cache({.num_kv_heads = 2, .head_dim = 8, .page_size = 4, .pages = 64});
    const Tokens prompt(random, cache.shape(), 50), token(random, cache.shape(), 1);
    KvBatch batch;
    const auto life = [&] {
        const SequenceId a = cache.add_sequence();
        append(cache, a, prompt);
        const SequenceId b = cache.fork(a);
        for (int step = 0; step < 20; ++step) {
            append(cache, a, token);
            append(cache, b, token);
            cache.make_batch(std::array{a, b}, batch);
        }
        cache.truncate(b, 13);
        cache.make_batch(std::array{b, a}, batch);
        cache.remove(b);
        cache.remove(a);
    };
    // Slots are used in turn: after two lives each has held the longest list.
    life();
    life();
    const std::int64_t before = allocations();
    life();
    CHECK(allocations() == before);
    CHECK(cache.free_pages() == 64);
}

}  // namespace
}  // namespace headwise::test
