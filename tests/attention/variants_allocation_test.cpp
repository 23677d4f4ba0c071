// run() allocates nothing, whatever is asked for. The counter replaces malloc, so this is a program of its own.
#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <vector>

#include "tests/attention/variant_call.hpp"
#include "tests/support/allocation_counter.hpp"

namespace headwise::test {
namespace {

constexpr Packing kPackings[] = {Packing::dense, Packing::padded, Packing::ragged, Packing::paged, Packing::ragged_paged};

/// In a few runs the fewest allocations of one, by the given counter.
std::int64_t fewest_allocations(const VariantCall& call, int runs, std::int64_t (*counter)() noexcept) {
    const AttentionPlan plan(call.shape, call.options);
    const GuardedMemory workspace(plan.workspace_bytes(), Guard::above);
    std::int64_t fewest = 1;
    for (int run = 0; run < runs && fewest > 0; ++run) {
        const std::int64_t before = counter();
        plan.run(call.arguments, {workspace.data(), workspace.size()});
        const std::int64_t count = counter() - before;
        fewest = run == 0 ? count : std::min(fewest, count);
    }
    return fewest;
}

template <class Function>
void for_calls(Function function) {
    for (const Variants& variants : all_variants())
        for (const Packing packing : kPackings) {
            std::vector<SequenceSizes> sequences = {{20, 1100, 1}};
            if (packing != Packing::dense) sequences.insert(sequences.end(), {{1, 1700, 2}, {2, 30, 3}});
            for (const std::int64_t shared_keys : {-1, 16}) {
                if (shared_keys > 0 && packing == Packing::ragged) continue;
                const VariantCall call(variants, sequences, {.packing = packing, .shared_keys = shared_keys});
                INFO(call.text());
                function(call);
            }
        }
}

TEST_CASE("a run on one thread allocates nothing, from the first on, whatever is asked for") {
    oneapi::tbb::task_arena arena(1);
    for_calls([&](const VariantCall& call) {
        arena.execute([&] { CHECK(fewest_allocations(call, 1, allocations_of_this_thread) == 0); });
    });
}

TEST_CASE("a run on several threads allocates nothing, once oneTBB has started them and has its own pools") {
    const oneapi::tbb::global_control threads(oneapi::tbb::global_control::max_allowed_parallelism, 4);
    oneapi::tbb::task_arena arena(4);
    // oneTBB itself allocates when a thread first takes part, which may be late on a busy machine: one quiet run shows that
    // nothing in a run has to.
    for_calls([&](const VariantCall& call) { arena.execute([&] { CHECK(fewest_allocations(call, 200, allocations) == 0); }); });
}

TEST_CASE("the one-shot function allocates nothing once the pool has a workspace, whatever is asked for") {
    oneapi::tbb::task_arena arena(1);
    for_calls([&](const VariantCall& call) {
        arena.execute([&] {
            attention(call.arguments, call.options);
            const std::int64_t before = allocations_of_this_thread();
            attention(call.arguments, call.options);
            CHECK(allocations_of_this_thread() == before);
        });
    });
}

}  // namespace
}  // namespace headwise::test
