// What a plan promises about variants: one for many calls, workspace, what explain() counts and names.
#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/attention/variant_call.hpp"

namespace headwise::test {
namespace {

// Lets oneTBB really start the threads that an arena asks for, however few cores there are.
const oneapi::tbb::global_control kThreeThreads(oneapi::tbb::global_control::max_allowed_parallelism, 3);

TEST_CASE("one plan runs calls of any lengths, pages and prefixes in turn, with the bits of a plan of their own") {
    // The longest query is that of the plan, as padded tensors have it; the longest key is not.
    const std::vector<std::vector<SequenceSizes>> batches = {
        {{24, 30, 1}, {1, 900, 2}, {24, 24, 3}}, {{24, 1500, 4}, {2, 3, 5}, {0, 0, 6}}, {{24, 24, 7}, {1, 1, 8}, {3, 70, 9}}};
    constexpr Placing kPlacings[] = {{.packing = Packing::padded},
                                     {.packing = Packing::ragged},
                                     {.packing = Packing::paged, .page_size = 3},
                                     {.packing = Packing::paged, .page_size = 16},
                                     {.packing = Packing::ragged_paged, .page_size = 64}};
    oneapi::tbb::task_arena arena(3);
    for (const Variants& variants : all_variants()) {
        AttentionShape shape = VariantCall(variants, batches[0]).shape;
        shape.key_length = 40;
        const AttentionOptions options = VariantCall(variants, batches[0]).options;
        const AttentionPlan plan = arena.execute([&] { return AttentionPlan(shape, options); });
        const GuardedMemory workspace(plan.workspace_bytes(), Guard::above);
        for (const Placing& placing : kPlacings)
            for (const auto& batch : batches) {
                const VariantCall planned(variants, batch, placing), alone(variants, batch, placing);
                INFO(planned.text());
                arena.execute([&] { plan.run(planned.arguments, {workspace.data(), workspace.size()}); });
                alone.run();
                for (std::size_t b = 0; b < batch.size(); ++b) CHECK(same_bits(planned.results(b), alone.results(b)));
            }
    }
}

TEST_CASE("sequences that are shorter than planned, one behind the other, need no other plan") {
    const std::vector<SequenceSizes> sequences = {{3, 40, 1}, {9, 700, 2}};
    for (const Variants& variants : all_variants()) {
        const VariantCall planned(variants, sequences, {.packing = Packing::ragged}), alone(variants, sequences);
        AttentionShape shape = planned.shape;
        shape.query_length = 200;
        const AttentionPlan plan(shape, planned.options);
        const GuardedMemory workspace(plan.workspace_bytes(), Guard::above);
        plan.run(planned.arguments, {workspace.data(), workspace.size()});
        const VariantCall own(variants, sequences, {.packing = Packing::ragged});
        own.run();
        for (std::size_t b = 0; b < sequences.size(); ++b) CHECK(same_bits(planned.results(b), own.results(b)));
    }
}

TEST_CASE("the workspace stays below 2 MiB a worker and 128 bytes a sequence, and the number of keys does not change it") {
    const RopeTable table({.dims = 2}, 1);
    for (const int workers : {1, 3, 64}) {
        oneapi::tbb::task_arena arena(workers);
        arena.execute([&] {
            for (const std::int64_t batch : {1, 31, 63, 127, 1000, 1'000'000})
                for (const std::int64_t dim :
                     {std::int64_t{2}, std::int64_t{40}, std::int64_t{128}, std::int64_t{424}, kMaxHeadDim})
                    for (const std::int64_t group : {1, 3, 16})
                        for (const std::int64_t queries : {0, 1, 8, 9, 65, 4096}) {
                            AttentionShape shape{.batch = batch,
                                                 .num_heads = 2 * group,
                                                 .num_kv_heads = 2,
                                                 .query_length = queries,
                                                 .head_dim = dim};
                            const std::size_t bytes = AttentionPlan(shape, {.rope = &table}).workspace_bytes();
                            INFO("workers " << workers << " batch " << batch << " dim " << dim << " group " << group << " queries "
                                            << queries);
                            REQUIRE(bytes <
                                    (static_cast<std::size_t>(workers) * (2u << 20)) + 128 * static_cast<std::size_t>(batch));
                            shape.key_length = 1'000'000'000;
                            REQUIRE(AttentionPlan(shape, {.rope = &table}).workspace_bytes() == bytes);
                        }
        });
    }
}

// ---- explain()

AttentionExplanation explain(const VariantCall& call) {
    oneapi::tbb::task_arena arena(1);
    return arena.execute([&] { return AttentionPlan(call.shape, call.options).explain(call.arguments); });
}

TEST_CASE("explain() of a ragged batch, counted by hand") {
    const std::vector<SequenceSizes> sequences = {{3, 10, 1}, {0, 4, 2}, {5, 5, 3}};
    const auto check = [&](const AttentionOptions& options, bool prefix, double first_pairs, double last_pairs) {
        VariantCall call({.options = options}, sequences, {.packing = Packing::ragged});
        const std::vector<std::int32_t> prefixes{4, 1, 2};
        if (prefix) call.arguments.prefix_lengths = prefixes;
        const AttentionExplanation e = explain(call);
        INFO(e.text());
        constexpr double kFlopsPerPair = 2 * (20 + 12);
        CHECK(e.flops == kFlopsPerPair * 4 * (first_pairs + last_pairs));
        CHECK(e.bytes == 4 * (20 + 12) * (4 * (3 + 5) + 2 * (10 + 4 + 5)));
        CHECK(e.tasks == 4);  // the sequences that have queries, of 2 key/value heads each
        CHECK(e.workers == 1);
        CHECK(e.kernel == "query-lanes and key-rows");  // 10 and 6 rows a key/value head
        CHECK(e.least_task_flops == kFlopsPerPair * 2 * std::min(first_pairs, last_pairs));
        CHECK(e.most_task_flops == kFlopsPerPair * 2 * std::max(first_pairs, last_pairs));
        CHECK(e.limit == AttentionLimit::bandwidth);
    };
    constexpr Causal kBottomRight = Causal::bottom_right;
    check({}, false, 3 * 10, 5 * 5);
    check({.causal = kBottomRight}, false, 8 + 9 + 10, 1 + 2 + 3 + 4 + 5);
    check({.causal = Causal::top_left}, false, 1 + 2 + 3, 1 + 2 + 3 + 4 + 5);
    check({.window = {.left = 2, .right = 1}}, false, 4 + 4 + 3, 2 + 3 + 4 + 4 + 3);
    check({.alignment = Alignment::top_left, .window = {.left = 2, .right = 1}}, false, 2 + 3 + 4, 2 + 3 + 4 + 4 + 3);
    check({.causal = kBottomRight, .window = {.left = 2}}, false, 3 + 3 + 3, 1 + 2 + 3 + 3 + 3);
    check({.causal = kBottomRight}, true, 8 + 9 + 10, 2 + 2 + 3 + 4 + 5);
    check({.causal = Causal::top_left}, true, 4 + 4 + 4, 2 + 2 + 3 + 4 + 5);
    check({.causal = Causal::top_left, .window = {.left = 1, .right = 1}}, true, 2 + 3 + 3, 2 + 2 + 2 + 2 + 2);
}

TEST_CASE("explain() counts the pairs that positions allow, whatever the lengths, the window and the prefix") {
    for (const auto& [queries, keys] : std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 9}, {6, 6}, {4, 20}, {20, 4}, {7, 0}})
        for (const Causal causal : {Causal::none, Causal::top_left, Causal::bottom_right})
            for (const Alignment alignment : {Alignment::bottom_right, Alignment::top_left})
                for (const std::int64_t left : {-1, 0, 3, 100})
                    for (const std::int64_t right : {-1, 0, 2, 100})
                        for (const bool prefix : {false, true}) {
                            const AttentionOptions options{.causal = causal, .alignment = alignment, .window = {left, right}};
                            const VariantCall call({.options = options, .prefix = prefix}, {{queries, keys, 1}, {1, 3, 2}},
                                                   {.packing = Packing::paged}, {1, 1, 3, 2});
                            double pairs = 0;
                            for (std::size_t b = 0; b < 2; ++b)
                                for (std::int64_t i = 0; i < call.sequences[b].queries; ++i)
                                    for (std::int64_t j = 0; j < call.sequences[b].keys; ++j) pairs += call.sees(b, 0, i, j);
                            INFO(call.text() << " window " << left << " " << right << " causal " << static_cast<int>(causal)
                                             << " prefix " << prefix);
                            CHECK(explain(call).flops == 2 * (3 + 2) * pairs);
                        }
}

TEST_CASE("explain() names what is asked for") {
    const std::pair<const char*, const char*> names[] = {
        {"plain", ""},
        {"causal top-left", "causal top-left, "},
        {"causal bottom-right", "causal bottom-right, "},
        {"window", "window, "},
        {"causal window", "causal bottom-right, window, "},
        {"softcap", "softcap, "},
        {"scales", "scale per head, "},
        {"ALiBi", "causal bottom-right, ALiBi, "},
        {"bias", "bias, "},
        {"function", "score function, "},
        {"sinks", "sinks, "},
        {"mask", "mask, "},
        {"mask of bits", "mask of bits, "},
        {"block mask", "block mask, "},
        {"prefix", "causal bottom-right, prefix, "},
        {"tree", "tree, "},
        {"RoPE at given positions", "RoPE, "},
        {"everything",
         "causal bottom-right, window, softcap, RoPE, prefix, scale per head, bias, ALiBi, mask, mask of bits, block mask, tree, "
         "sinks, score function, "},
    };
    for (const auto& [name, expected] : names)
        for (const Variants& variants : all_variants())
            if (std::string(variants.name) == name) {
                VariantCall call(variants, {{3, 5, 1}});
                CHECK(explain(call).variants == std::string(expected) + "log-sum-exp");
                call.arguments.log_sum_exp = {};
                const std::string all = expected;
                CHECK(explain(call).variants == all.substr(0, all.empty() ? 0 : all.size() - 2));
            }
    const auto of_packing = [](Packing packing) { return explain(VariantCall({}, {{3, 5, 1}}, {.packing = packing})).variants; };
    CHECK(of_packing(Packing::dense) == "log-sum-exp");
    CHECK(of_packing(Packing::padded) == "query lengths, key lengths, log-sum-exp");
    CHECK(of_packing(Packing::ragged) == "ragged, log-sum-exp");
    CHECK(of_packing(Packing::paged) == "query lengths, key lengths, paged, log-sum-exp");
    CHECK(of_packing(Packing::ragged_paged) == "key lengths, ragged, paged, log-sum-exp");
    const VariantCall mask({.mask = true}, {{3, 5, 1}});
    CHECK(explain(mask).text().find("fused: mask, log-sum-exp\n") != std::string::npos);
}

}  // namespace
}  // namespace headwise::test
