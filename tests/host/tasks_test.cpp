#include <doctest/doctest.h>
#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/partitioner.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "tests/host/arenas.hpp"
#include "tests/host/attention_inputs.hpp"

namespace headwise::test {
namespace {

constexpr int kThreads = 8;
// Also where there are fewer cores, or waiting threads would hardly ever find a task to take.
const tbb::global_control allow_threads(tbb::global_control::max_allowed_parallelism, kThreads);
constexpr float kUnwritten = std::numeric_limits<float>::max();

template <class Function>
void run_tasks(int count, const Function& function) {
    tbb::parallel_for(
        tbb::blocked_range<int>(0, count, 1), [&](const tbb::blocked_range<int>&) { function(); }, tbb::simple_partitioner{});
}

TEST_CASE("a waiting call starts no other task of its caller: a workspace for each thread, or a lock held meanwhile, is safe") {
    const SmallAttention inputs;
    const std::vector<float> expected = inputs.on_one_thread();
    tbb::task_arena arena(kThreads);
    arena.execute([&] {
        const AttentionPlan plan(inputs.shape());
        std::atomic<int> wrong = 0, nested = 0;
        run_tasks(100, [&] {
            static thread_local std::vector<std::byte> workspace;
            static thread_local bool in_call = false;
            if (in_call) ++nested;
            workspace.resize(plan.workspace_bytes());
            std::vector<float> out(expected.size(), kUnwritten);
            in_call = true;
            plan.run(inputs.arguments(out), workspace);
            in_call = false;
            if (out != expected) ++wrong;
        });
        CHECK(nested == 0);
        CHECK(wrong == 0);
    });
}

/// function() in a task whose group is cancelled before it begins its work.
template <class Function>
void in_cancelled_group(const Function& function) {
    tbb::task_group group;
    std::atomic<bool> ran = false;
    group.run([&] {
        group.cancel();
        function();
        ran = true;
    });
    group.wait();
    REQUIRE(ran);
}

TEST_CASE("a call in a cancelled group of the caller's finishes") {
    const SmallAttention inputs;
    tbb::task_arena arena(kThreads);
    SUBCASE("attention") {
        const std::vector<float> expected = inputs.on_one_thread();
        std::vector<float> out(expected.size(), kUnwritten);
        arena.execute([&] { in_cancelled_group([&] { attention(inputs.arguments(out)); }); });
        CHECK(out == expected);
    }
    SUBCASE("a product") {
        constexpr std::int64_t kSize = 512;
        const TensorView<const float, 2> a(inputs.query.data(), {kSize, kSize}), b(inputs.key.data(), {kSize, kSize});
        std::vector<float> expected(kSize * kSize), c(kSize * kSize, kUnwritten);
        matmul(a, b, TensorView<float, 2>(expected.data(), {kSize, kSize}), {.max_threads = 1});
        arena.execute([&] { in_cancelled_group([&] { matmul(a, b, TensorView<float, 2>(c.data(), {kSize, kSize})); }); });
        CHECK(c == expected);
    }
    SUBCASE("the layer") {
        std::vector<float> expected(inputs.query.size()), out(expected.size(), kUnwritten);
        SmallLayer(inputs, 1).forward(expected);
        const SmallLayer layer(inputs);
        arena.execute([&] { in_cancelled_group([&] { layer.forward(out); }); });
        CHECK(out == expected);
    }
    SUBCASE("rotating") {
        const RopeTable table({.dims = SmallAttention::kDim}, SmallAttention::kLength);
        const auto turn = [&](std::vector<float>& out) {
            apply_rope(inputs.arguments(out).query, inputs.arguments(out).out, table);
        };
        std::vector<float> expected(inputs.query.size()), out(expected.size(), kUnwritten);
        tbb::task_arena(1).execute([&] { turn(expected); });
        arena.execute([&] { in_cancelled_group([&] { turn(out); }); });
        CHECK(out == expected);
    }
    SUBCASE("a table of rotations") {
        constexpr std::int64_t kPositions = 20'000;
        arena.execute([&] {
            in_cancelled_group([&] {
                const RopeTable table({.dims = 64}, kPositions);
                for (std::int64_t position = 0; position < kPositions; ++position) {
                    float row[64];
                    table.angles(position, row);  // a cosine and a sine are not both 0
                    if (row[0] == 0 && row[32] == 0) FAIL("position " << position << " was not computed");
                }
            });
        });
    }
}

TEST_CASE("a sibling that throws leaves no result half-written") {
    const SmallAttention inputs;
    const std::vector<float> expected = inputs.on_one_thread();
    tbb::task_arena arena(kThreads);
    for (int round = 0; round < 20; ++round) {
        std::atomic<int> wrong = 0;
        arena.execute([&] {
            tbb::task_group group;
            for (int i = 0; i < 4; ++i)
                group.run([&] {
                    std::vector<float> out(expected.size(), kUnwritten);
                    attention(inputs.arguments(out));
                    if (out != expected) ++wrong;
                });
            group.run([] { throw std::runtime_error("a sibling"); });
            CHECK_THROWS_AS(group.wait(), std::runtime_error);
        });
        CHECK(wrong == 0);
    }
}

TEST_CASE("calls give the same bits in arenas of one slot, in nested arenas, and with one thread allowed") {
    const SmallAttention inputs;
    const std::vector<float> expected = inputs.on_one_thread();
    std::vector<float> out(expected.size(), kUnwritten);
    const auto check = [&] {
        out.assign(out.size(), kUnwritten);
        attention(inputs.arguments(out));
        CHECK(out == expected);
    };
    in_every_arena(kThreads, check);
}

}  // namespace
}  // namespace headwise::test
