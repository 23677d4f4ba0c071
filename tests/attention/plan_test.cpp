// What a plan promises before it runs: workspace, cost, and lengths that may grow.
#include <doctest/doctest.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <cmath>

#include "tests/support/attention_case.hpp"
#include "tests/support/error_message.hpp"

namespace headwise::test {
namespace {

constexpr std::size_t kMostBytesPerWorker = 2u << 20;

constexpr Causal kCausal[] = {Causal::none, Causal::top_left, Causal::bottom_right};

TEST_CASE("the workspace stays below 2 MiB a worker, whatever the shape") {
    const std::int64_t lengths[] = {0, 1, 2, 8, 9, 64, 65, 511, 512, 4096, 100'000, 1'000'000};
    for (const int workers : {1, 2, 7, 64}) {
        oneapi::tbb::task_arena arena(workers);
        arena.execute([&] {
            for (const std::int64_t dim : {std::int64_t{1}, std::int64_t{40}, std::int64_t{64}, std::int64_t{128},
                                           std::int64_t{255}, std::int64_t{424}, kMaxHeadDim})
                for (const std::int64_t group : {1, 3, 8, 16})
                    for (const std::int64_t queries : lengths)
                        for (const std::int64_t keys : lengths) {
                            const AttentionShape shape{.num_heads = 2 * group,
                                                       .num_kv_heads = 2,
                                                       .query_length = queries,
                                                       .key_length = keys,
                                                       .head_dim = dim};
                            const AttentionPlan plan(shape);
                            INFO("workers " << workers << " dim " << dim << " group " << group << " queries " << queries << " keys "
                                            << keys);
                            REQUIRE(plan.workspace_bytes() < static_cast<std::size_t>(workers) * kMostBytesPerWorker);
                            const AttentionExplanation explanation = plan.explain();
                            REQUIRE(explanation.workspace_bytes == plan.workspace_bytes());
                            REQUIRE(explanation.workers <= workers);
                        }
        });
    }
}

TEST_CASE("explain() says for any number of workers what a plan made with that many would do") {
    for (const std::int64_t queries : {1, 3, 50, 2000})
        for (const std::int64_t keys : {10, 700, 20'000})
            for (const int max_threads : {0, 3}) {
                const AttentionShape shape{
                    .num_heads = 6, .num_kv_heads = 3, .query_length = queries, .key_length = keys, .head_dim = 64};
                const AttentionOptions options{.max_threads = max_threads};
                const AttentionPlan here(shape, options);
                for (const int workers : {1, 2, 5, 64}) {
                    CAPTURE(workers);
                    oneapi::tbb::task_arena arena(workers);
                    const AttentionExplanation there = arena.execute([&] { return AttentionPlan(shape, options).explain(); });
                    CHECK(here.explain(keys, workers).text() == there.text());
                }
            }
    CHECK(message_of([] { AttentionPlan({.head_dim = 8}).explain(1, 0); }) == "workers is 0: expected at least 1");
}

TEST_CASE("the number of keys may grow under one plan, up to many more than planned") {
    for (const std::int64_t queries : {1, 3, 50}) {
        const std::int64_t capacity = 7000;
        const AttentionCase c{
            .shape = {.num_heads = 2, .num_kv_heads = 1, .query_length = queries, .key_length = capacity, .head_dim = 16}};
        const AttentionTensors tensors(c);
        for (const std::int64_t planned : {std::int64_t{0}, std::int64_t{100}, capacity}) {
            AttentionShape shape = c.shape;
            shape.key_length = planned;
            const AttentionOptions options{.causal = Causal::bottom_right};
            oneapi::tbb::task_arena arena(4);
            arena.execute([&] {
                const AttentionPlan plan(shape, options);
                const GuardedMemory workspace(plan.workspace_bytes(), Guard::above);
                for (const std::int64_t keys : {0, 1, 2, 64, 65, 600, 2000, 7000}) {
                    AttentionViews views = tensors.views();
                    views.key.extent[2] = views.value.extent[2] = keys;
                    plan.run(views.query, views.key, views.value, views.out, {workspace.data(), workspace.size()});
                    const auto grown = bits_of(views.out);
                    run_engine(views, options);
                    CHECK(bits_of(views.out) == grown);
                }
            });
        }
    }
}

/// Counts the allowed pairs of one head one by one.
double count_pairs(std::int64_t queries, std::int64_t keys, Causal causal) {
    double pairs = 0;
    for (std::int64_t i = 0; i < queries; ++i)
        for (std::int64_t j = 0; j < keys; ++j)
            pairs += causal == Causal::none || j <= i + (causal == Causal::bottom_right ? keys - queries : 0);
    return pairs;
}

TEST_CASE("explain() counts the operations of the allowed pairs, and every byte once") {
    for (const Causal causal : kCausal)
        for (const std::int64_t queries : {0, 1, 5, 64, 70})
            for (const std::int64_t keys : {0, 1, 5, 30, 64, 100}) {
                const AttentionShape shape{.batch = 3,
                                           .num_heads = 6,
                                           .num_kv_heads = 2,
                                           .query_length = queries,
                                           .key_length = keys,
                                           .head_dim = 24,
                                           .value_dim = 40};
                const AttentionExplanation explanation = AttentionPlan(shape, {.causal = causal}).explain();
                CHECK(explanation.flops == doctest::Approx(2 * (24 + 40) * 18 * count_pairs(queries, keys, causal)));
                const auto floats = static_cast<double>(3 * (6 * queries * (24 + 40) + 2 * keys * (24 + 40)));
                CHECK(explanation.bytes == doctest::Approx(4 * floats));
            }
}

TEST_CASE("explain() names the kernel for few and for many rows, and says it in words") {
    const AttentionExplanation decode = AttentionPlan({.query_length = 1, .key_length = 5000, .head_dim = 64}).explain();
    const AttentionExplanation prefill =
        AttentionPlan({.num_heads = 4, .query_length = 500, .key_length = 500, .head_dim = 64}).explain();
    CHECK(decode.kernel == "key-rows");
    CHECK(prefill.kernel == "query-lanes");
    CHECK(decode.isa == active_isa());
    CHECK(decode.key_chunks > 1);
    CHECK(prefill.tasks >= 4);
    CHECK(prefill.query_block >= 1);
    CHECK(prefill.key_block >= 1);
    CHECK(prefill.text().find("query-lanes") != std::string::npos);
    CHECK(prefill.text().find(isa_name(active_isa())) != std::string::npos);
}

TEST_CASE("what decides about bits does not depend on the batch or the number of threads") {
    for (const std::int64_t queries : {1, 30, 400})
        for (const std::int64_t keys : {100, 1000, 10'000}) {
            const AttentionShape shape{
                .num_heads = 4, .num_kv_heads = 2, .query_length = queries, .key_length = keys, .head_dim = 64};
            const AttentionExplanation expected = AttentionPlan(shape).explain();
            for (const std::int64_t batch : {1, 9})
                for (const int threads : {1, 3, 32}) {
                    AttentionShape other = shape;
                    other.batch = batch;
                    oneapi::tbb::task_arena arena(threads);
                    const AttentionExplanation explanation = arena.execute([&] { return AttentionPlan(other).explain(); });
                    CHECK(explanation.kernel == expected.kernel);
                    CHECK(explanation.query_block == expected.query_block);
                    CHECK(explanation.key_block == expected.key_block);
                    CHECK(explanation.key_chunks == expected.key_chunks);
                }
        }
}

TEST_CASE("a plan keeps its shape, options and ISA") {
    const AttentionPlan plan({.query_length = 3, .key_length = 4, .head_dim = 5}, {.causal = Causal::top_left, .scale = 0.25f});
    CHECK(plan.shape().value_dim == 5);
    CHECK(plan.options().causal == Causal::top_left);
    CHECK(plan.options().scale == 0.25f);
    CHECK(plan.isa() == active_isa());
}

TEST_CASE("a plan runs on the ISA that was active when it was made") {
    const Isa before = active_isa();
    const AttentionCase c{.shape = {.query_length = 20, .key_length = 300, .head_dim = 40}};
    const AttentionTensors expected(c), later(c);
    run_engine(expected.views(), c.options);
    const AttentionPlan plan(c.shape, c.options);
    const GuardedMemory workspace(plan.workspace_bytes(), Guard::above);
    for (const Isa other : available_isas()) {
        set_isa(other);
        const AttentionViews views = later.views();
        plan.run(views.query, views.key, views.value, views.out, {workspace.data(), workspace.size()});
        CHECK(bits_of(views.out) == bits_of(expected.out.view()));
    }
    set_isa(before);
}

TEST_CASE("a plan for a given ISA runs on it, whichever is active") {
    const Isa before = active_isa();
    const AttentionShape shape{.query_length = 20, .key_length = 300, .head_dim = 40};
    for (const Isa isa : available_isas()) {
        const AttentionTensors expected({.shape = shape}), given({.shape = shape});
        set_isa(isa);
        run_engine(expected.views(), {});
        set_isa(before);
        CHECK(AttentionPlan(shape, {.isa = isa}).explain().isa == isa);
        run_engine(given.views(), {.isa = isa});
        CHECK(bits_of(given.out.view()) == bits_of(expected.out.view()));
    }
}

}  // namespace
}  // namespace headwise::test
