// run() allocates nothing. The counter replaces malloc, so this is a program of its own.
#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "headwise/profile.hpp"
#include "tests/support/allocation_counter.hpp"
#include "tests/support/attention_case.hpp"

namespace headwise::test {
namespace {

const AttentionShape kShapes[] = {
    {.query_length = 0, .key_length = 0, .head_dim = 8},
    {.query_length = 1, .key_length = 1, .head_dim = 8},
    {.num_heads = 8, .num_kv_heads = 2, .query_length = 1, .key_length = 6000, .head_dim = 64},
    {.query_length = 2, .key_length = 20'000, .head_dim = 64},
    {.batch = 2, .num_heads = 6, .num_kv_heads = 3, .query_length = 200, .key_length = 300, .head_dim = 80, .value_dim = 33},
    {.num_heads = 1, .query_length = 60, .key_length = 5000, .head_dim = 512},
};

std::int64_t allocations_of_run(const AttentionShape& shape, Causal causal, std::int64_t (*counter)() noexcept) {
    const AttentionCase c{.shape = shape};
    const AttentionTensors tensors(c);
    const AttentionViews views = tensors.views();
    const AttentionPlan plan(shape, {.causal = causal});
    const GuardedMemory workspace(plan.workspace_bytes(), Guard::above);
    const std::int64_t before = counter();
    plan.run(views.query, views.key, views.value, views.out, {workspace.data(), workspace.size()});
    return counter() - before;
}

void* volatile allocated;  // keeps the compiler from leaving out an allocation that nothing uses

TEST_CASE("the counter sees malloc, new, calloc, realloc and aligned allocation") {
    const auto counts = [](auto allocate, auto release) {
        const std::int64_t before = allocations();
        const std::int64_t own_before = allocations_of_this_thread();
        allocated = allocate();
        const bool seen = allocations() > before && allocations_of_this_thread() > own_before;
        release(allocated);
        return seen;
    };
    CHECK(counts([] { return std::malloc(100); }, std::free));
    CHECK(counts([] { return std::calloc(10, 10); }, std::free));
    allocated = std::malloc(10);
    CHECK(counts([] { return std::realloc(allocated, 1000); }, std::free));
    CHECK(counts([] { return std::aligned_alloc(64, 128); }, std::free));
    CHECK(counts([] { return ::operator new(100); }, [](void* p) { ::operator delete(p); }));
}

TEST_CASE("a run on one thread allocates nothing, from the first on") {
    for (const AttentionShape& shape : kShapes)
        for (const Causal causal : {Causal::none, Causal::bottom_right}) {
            oneapi::tbb::task_arena arena(1);
            arena.execute([&] { CHECK(allocations_of_run(shape, causal, allocations_of_this_thread) == 0); });
        }
}

TEST_CASE("a run on several threads allocates nothing, once oneTBB has started them and has its own pools") {
    const oneapi::tbb::global_control threads(oneapi::tbb::global_control::max_allowed_parallelism, 4);
    oneapi::tbb::task_arena arena(4);
    arena.execute([&] {
        for (const AttentionShape& shape : kShapes) {
            // oneTBB itself allocates when a thread first takes part, which may be late on a busy machine: one quiet run shows that
            // nothing in a run has to.
            std::int64_t least = 1;
            for (int run = 0; run < 200 && least > 0; ++run)
                least = std::min(least, allocations_of_run(shape, Causal::bottom_right, allocations));
            CHECK(least == 0);
        }
    });
}

TEST_CASE("recording allocates nothing, with room and without") {
    for (const std::int64_t tasks : {1, 8192})
        for (const AttentionShape& shape : kShapes) {
            oneapi::tbb::task_arena arena(1);
            arena.execute([&] {
                Profile profile({.tasks_per_worker = tasks, .runs = tasks});
                const ProfileScope scope(profile);
                for (int run = 0; run < 2; ++run)
                    CHECK(allocations_of_run(shape, Causal::bottom_right, allocations_of_this_thread) == 0);
                const bool any = shape.query_length > 0;
                CHECK(profile.tasks(0).empty() == !any);
                CHECK((profile.dropped() > 0) == (any && tasks == 1));
            });
        }
    const oneapi::tbb::global_control threads(oneapi::tbb::global_control::max_allowed_parallelism, 4);
    oneapi::tbb::task_arena arena(4);
    arena.execute([&] {
        Profile profile;
        const ProfileScope scope(profile);
        for (const AttentionShape& shape : kShapes) {
            std::int64_t least = 1;
            for (int run = 0; run < 200 && least > 0; ++run)
                least = std::min(least, allocations_of_run(shape, Causal::bottom_right, allocations));
            CHECK(least == 0);
        }
    });
}

TEST_CASE("the one-shot function allocates nothing once the pool has a workspace") {
    const AttentionCase c{.shape = kShapes[2]};
    const AttentionTensors tensors(c);
    const AttentionViews views = tensors.views();
    oneapi::tbb::task_arena arena(1);
    arena.execute([&] {
        attention(views.query, views.key, views.value, views.out);
        const std::int64_t before = allocations_of_this_thread();
        attention(views.query, views.key, views.value, views.out);
        CHECK(allocations_of_this_thread() == before);
    });
}

}  // namespace
}  // namespace headwise::test
