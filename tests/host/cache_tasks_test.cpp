// A KvCache of the caller's, used from the caller's own oneTBB tasks, whose calls have workers of their own where they turn many
// keys.
#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "tests/host/arenas.hpp"
#include "tests/host/attention_inputs.hpp"
#include "tests/support/same_floats.hpp"

namespace headwise::test {
namespace {

const tbb::global_control allow_threads(tbb::global_control::max_allowed_parallelism, 8);

constexpr std::int64_t kHeads = 8, kDim = 128, kPageSize = 256, kTokens = 600;
constexpr KvCacheShape kShape{.num_kv_heads = kHeads, .head_dim = kDim, .page_size = kPageSize, .pages = 128};

/// Tokens worth several workers, a table to turn them, and what a cache makes of them on one thread.
struct Prompt {
    RopeTable rope{{.dims = kDim}, 2 * kTokens};
    std::vector<float> key = random_floats(kHeads * kTokens * kDim, 1), value = random_floats(kHeads * kTokens * kDim, 2);
    std::vector<float> expected = [&] {
        std::vector<float> stored;
        tbb::task_arena(1).execute([&] {
            KvCache cache(kShape, &rope);
            const SequenceId sequence = cache.add_sequence();
            append_to(cache, sequence);
            stored = stored_in(cache, sequence);
        });
        return stored;
    }();

    void append_to(KvCache& cache, SequenceId sequence) const {
        cache.append(sequence, {key.data(), {kHeads, kTokens, kDim}}, {value.data(), {kHeads, kTokens, kDim}});
    }

    /// Keys and values of all tokens, page by page.
    static std::vector<float> stored_in(const KvCache& cache, SequenceId sequence) {
        std::vector<float> all;
        std::int64_t left = cache.length(sequence);
        for (const std::int32_t page : cache.pages(sequence)) {
            const std::int64_t tokens = std::min(left, kPageSize);
            for (const TensorView<const float, 4>& pool : {cache.key_pages(), cache.value_pages()})
                for (std::int64_t h = 0; h < kHeads; ++h) {
                    const float* from = pool.data + page * pool.stride[0] + h * pool.stride[1];
                    for (std::int64_t i = 0; i < tokens; ++i, from += pool.stride[2]) all.insert(all.end(), from, from + kDim);
                }
            left -= tokens;
        }
        return all;
    }
};

TEST_CASE(
    "append() under a mutex of the caller's, from many tasks at once: no task starts another that locks it, no token differs") {
    const Prompt prompt;
    for (int round = 0; round < 3; ++round) {
        KvCache cache(kShape, &prompt.rope);
        std::mutex mutex;
        std::atomic<int> locked_twice = 0;
        std::vector<SequenceId> sequences(40);
        tbb::task_arena arena(8);
        arena.execute([&] {
            tbb::task_group tasks;
            for (SequenceId& sequence : sequences)
                tasks.run([&] {
                    static thread_local bool holds_mutex = false;
                    if (holds_mutex) {  // locking it would be the end of this test
                        ++locked_twice;
                        return;
                    }
                    const std::lock_guard lock(mutex);
                    holds_mutex = true;
                    sequence = cache.add_sequence();
                    prompt.append_to(cache, sequence);
                    holds_mutex = false;
                });
            tasks.wait();
        });
        REQUIRE(locked_twice == 0);
        for (const SequenceId sequence : sequences) REQUIRE(same_bits(Prompt::stored_in(cache, sequence), prompt.expected));
    }
}

TEST_CASE("append() in a cancelled group finishes: every token is there") {
    const Prompt prompt;
    tbb::task_arena arena(8);
    for (int round = 0; round < 10; ++round) {
        KvCache cache(kShape, &prompt.rope);
        const SequenceId sequence = cache.add_sequence();
        arena.execute([&] {
            tbb::task_group group;
            group.run([&] {
                group.cancel();
                prompt.append_to(cache, sequence);
            });
            group.wait();
        });
        CHECK(same_bits(Prompt::stored_in(cache, sequence), prompt.expected));
    }
}

TEST_CASE(
    "append() and attention over its pages give the same bits in arenas of one slot, in nested ones, and with one thread allowed") {
    const Prompt prompt;
    KvCache cache(kShape, &prompt.rope);
    const SequenceId sequence = cache.add_sequence();
    prompt.append_to(cache, sequence);
    const KvBatch batch = cache.make_batch({&sequence, 1});
    const std::vector<float> query = random_floats(4 * kHeads * kDim, 3);
    const auto attend = [&](const KvCache& pages, const KvBatch& of) {
        std::vector<float> out(query.size());
        attention({.query = bhsd<const float>(query.data(), 1, kHeads, 4, kDim),
                   .key = pages.key_pages(),
                   .value = pages.value_pages(),
                   .out = bhsd<float>(out.data(), 1, kHeads, 4, kDim),
                   .key_lengths = of.key_lengths(),
                   .page_table = of.page_table()},
                  {.causal = Causal::bottom_right});
        return out;
    };
    const std::vector<float> expected = attend(cache, batch);
    const auto check = [&] {
        KvCache other(kShape, &prompt.rope);
        const SequenceId id = other.add_sequence();
        prompt.append_to(other, id);
        CHECK(same_bits(Prompt::stored_in(other, id), prompt.expected));
        CHECK(same_bits(attend(other, other.make_batch({&id, 1})), expected));
    };
    in_every_arena(8, check);
}

}  // namespace
}  // namespace headwise::test
