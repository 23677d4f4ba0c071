// The same inputs for a sequence give the same bits, whatever runs beside it and on however many threads.
#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <thread>
#include <vector>

#include "tests/support/attention_case.hpp"

namespace headwise::test {
namespace {

// Both kernels, one key chunk and several, few blocks (so that chunks become tasks) and many.
const AttentionShape kShapes[] = {
    {.num_heads = 1, .query_length = 1, .key_length = 9000, .head_dim = 32},
    {.num_heads = 8, .num_kv_heads = 2, .query_length = 1, .key_length = 3000, .head_dim = 64},
    {.num_heads = 2, .query_length = 40, .key_length = 5000, .head_dim = 32},
    {.batch = 2, .num_heads = 3, .query_length = 150, .key_length = 150, .head_dim = 48},
    {.num_heads = 4, .query_length = 300, .key_length = 700, .head_dim = 17, .value_dim = 33},
};
constexpr Causal kCausal[] = {Causal::none, Causal::top_left, Causal::bottom_right};

// Lets oneTBB really start the threads that an arena asks for, however few cores there are.
const oneapi::tbb::global_control kEightThreads(oneapi::tbb::global_control::max_allowed_parallelism, 8);

std::vector<std::uint32_t> bits_in_arena(const AttentionCase& c, int threads) {
    const AttentionTensors tensors(c);
    oneapi::tbb::task_arena arena(threads);
    arena.execute([&] { run_engine(tensors.views(), c.options); });
    return bits_of(tensors.out.view());
}

TEST_CASE("the same bits with 1, 2, 3 and 8 threads, on every run") {
    for (const AttentionShape& shape : kShapes)
        for (const Causal causal : kCausal) {
            const AttentionCase c{.shape = shape, .options = {.causal = causal}};
            INFO(c.text());
            const auto expected = bits_in_arena(c, 1);
            for (const int threads : {1, 2, 3, 8})
                for (int run = 0; run < 3; ++run) CHECK(bits_in_arena(c, threads) == expected);
        }
}

TEST_CASE("chunks of keys become tasks of their own when there are few rows, and the bits stay") {
    const AttentionCase c{.shape = kShapes[0]};
    oneapi::tbb::task_arena alone(1), team(8);
    alone.execute([&] { CHECK_FALSE(AttentionPlan(c.shape).explain().keys_split); });
    team.execute([&] {
        const AttentionExplanation explanation = AttentionPlan(c.shape).explain();
        CHECK(explanation.keys_split);
        CHECK(explanation.workers > 1);
    });
    CHECK(bits_in_arena(c, 1) == bits_in_arena(c, 8));
}

TEST_CASE("max_threads limits the workers and changes no bit") {
    for (const AttentionShape& shape : kShapes) {
        AttentionCase c{.shape = shape};
        const auto expected = bits_in_arena(c, 8);
        for (const int limit : {1, 2, 5}) {
            c.options.max_threads = limit;
            oneapi::tbb::task_arena team(8);
            team.execute([&] { CHECK(AttentionPlan(c.shape, c.options).explain().workers <= limit); });
            CHECK(bits_in_arena(c, 8) == expected);
        }
    }
}

/// One sequence of a case with a batch, as tensors of their own.
AttentionViews sequence(const AttentionViews& views, std::int64_t b) {
    const auto part = [b](auto view) {
        view.data += b * view.stride[0];
        view.extent[0] = 1;
        return view;
    };
    return {part(views.query), part(views.key), part(views.value), part(views.out)};
}

TEST_CASE("a sequence has the same bits alone and anywhere in a batch") {
    for (AttentionShape shape : kShapes)
        for (const Causal causal : kCausal) {
            shape.batch = 5;
            const AttentionCase c{.shape = shape, .options = {.causal = causal}};
            INFO(c.text());
            const AttentionTensors together(c), alone(c);
            oneapi::tbb::task_arena team(3);
            team.execute([&] { run_engine(together.views(), c.options); });
            for (std::int64_t b = 0; b < shape.batch; ++b) run_engine(sequence(alone.views(), b), c.options);
            CHECK(bits_of(together.out.view()) == bits_of(alone.out.view()));
        }
}

TEST_CASE("a head has the same bits whatever the other heads hold") {
    const AttentionCase c{.shape = {.num_heads = 8, .num_kv_heads = 4, .query_length = 30, .key_length = 700, .head_dim = 20}};
    const AttentionTensors first(c), second(c);
    for (const StridedTensor* tensor : {&second.query, &second.key, &second.value})
        for_each_element(tensor->view().extent, [&](auto b, auto h, auto s, auto d) {
            if (h > 1) tensor->at(b, h, s, d) *= 100;
        });
    run_engine(first.views(), c.options);
    run_engine(second.views(), c.options);
    for (const std::int64_t head : {0, 1})
        for (std::int64_t s = 0; s < 30; ++s) CHECK(first.out.at(0, head, s, 5) == second.out.at(0, head, s, 5));
}

TEST_CASE("one plan runs on many threads at once") {
    for (const AttentionShape& shape : {kShapes[1], kShapes[3]}) {
        const AttentionCase c{.shape = shape, .options = {.causal = Causal::bottom_right}};
        const AttentionTensors expected(c);
        run_engine(expected.views(), c.options);
        const AttentionPlan plan(c.shape, c.options);

        constexpr int kCallers = 4;
        std::vector<AttentionTensors> tensors;
        std::vector<GuardedMemory> workspaces;
        for (int i = 0; i < kCallers; ++i) {
            tensors.emplace_back(c);
            workspaces.emplace_back(plan.workspace_bytes(), Guard::above);
        }
        std::vector<std::thread> callers;
        for (std::size_t i = 0; i < kCallers; ++i)
            callers.emplace_back([&, i] {
                const AttentionViews views = tensors[i].views();
                for (int run = 0; run < 5; ++run)
                    plan.run(views.query, views.key, views.value, views.out, {workspaces[i].data(), workspaces[i].size()});
            });
        for (std::thread& caller : callers) caller.join();
        for (const AttentionTensors& result : tensors) CHECK(bits_of(result.out.view()) == bits_of(expected.out.view()));
    }
}

TEST_CASE("the one-shot function runs on many threads at once") {
    const AttentionCase c{.shape = kShapes[1]};
    const AttentionTensors expected(c);
    run_engine(expected.views(), c.options);
    std::vector<AttentionTensors> tensors;
    for (int i = 0; i < 4; ++i) tensors.emplace_back(c);
    std::vector<std::thread> callers;
    for (const AttentionTensors& t : tensors)
        callers.emplace_back([&] { attention(t.query.view(), t.key.view(), t.value.view(), t.out.view(), c.options); });
    for (std::thread& caller : callers) caller.join();
    for (const AttentionTensors& t : tensors) CHECK(bits_of(t.out.view()) == bits_of(expected.out.view()));
}

TEST_CASE("a plan made in a large arena runs in a small one and the other way round") {
    const AttentionCase c{.shape = kShapes[0]};
    const auto expected = bits_in_arena(c, 1);
    for (const auto& [planned, run] : {std::pair{8, 1}, {1, 8}, {8, 2}}) {
        const AttentionTensors tensors(c);
        const AttentionViews views = tensors.views();
        oneapi::tbb::task_arena planning(planned), running(run);
        const AttentionPlan plan = planning.execute([&] { return AttentionPlan(c.shape, c.options); });
        const GuardedMemory workspace(plan.workspace_bytes(), Guard::above);
        running.execute([&] { plan.run(views.query, views.key, views.value, views.out, {workspace.data(), workspace.size()}); });
        CHECK(bits_of(views.out) == expected);
    }
}

}  // namespace
}  // namespace headwise::test
