// Keys that sequences share are attended to together: the results are those of every sequence by itself, and a sequence's bits do
// not depend on who shares its keys.
#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/attention/rounding.hpp"
#include "tests/attention/variant_call.hpp"

namespace headwise::test {
namespace {

// Lets oneTBB really start the threads that an arena asks for, however few cores there are.
const oneapi::tbb::global_control kEightThreads(oneapi::tbb::global_control::max_allowed_parallelism, 8);

constexpr Placing kPaged{.packing = Packing::paged, .page_size = 16, .shared_keys = 64};

/// Where shared keys may lie.
const Placing kPlacings[] = {kPaged,
                             {.packing = Packing::padded, .spare = 3, .shared_keys = 64},
                             {.packing = Packing::ragged_paged, .page_size = 64, .shared_keys = 64},
                             {.packing = Packing::paged, .page_size = 1, .shared_keys = 64}};

// Decode, prefill behind the prefix, and a sequence whose first queries are in it; one has no keys of its own, one no queries.
const std::vector<SequenceSizes> kMixed = {{1, 64, 1}, {3, 70, 2}, {40, 104, 3}, {0, 80, 4}, {30, 75, 5}, {1, 700, 6}, {64, 64, 7}};
// Decode with and without keys of its own.
const std::vector<SequenceSizes> kDecode = {{1, 65, 1}, {1, 64, 2}, {1, 1300, 3}, {1, 90, 4}};

bool joins(const VariantCall& call, std::size_t b) {
    const SequenceSizes& s = call.sequences[b];
    if (call.variants.tree && s.keys - s.queries < call.placing.shared_keys) return false;
    for (std::int64_t i = 0; i < s.queries; ++i)
        for (const std::int64_t j : {std::int64_t{0}, call.placing.shared_keys - 1}) {
            // By position alone.
            const VariantCall plain({.options = call.variants.options, .prefix = call.variants.prefix}, {s});
            if (!plain.sees(0, 0, i, j)) return false;
        }
    return s.queries > 0;
}

TEST_CASE("with shared keys the results are those of the same call without, up to rounding, whatever is asked for") {
    for (const Variants& variants : all_variants())
        for (const auto& sequences : {kMixed, kDecode})
            for (const Placing& placing : kPlacings) {
                const VariantCall shared(variants, sequences, placing);
                VariantCall alone(variants, sequences, placing);
                alone.arguments.shared_keys = 0;
                shared.run();
                alone.run();
                check_within_rounding(shared, alone);
                CHECK(shared.padding_is_clear());
            }
}

TEST_CASE("long prefixes, of several chunks, are merged as short ones") {
    const std::vector<SequenceSizes> sequences = {{1, 2800, 1}, {9, 2780, 2}, {1, 3500, 3}};
    const Placing placing{.packing = Packing::paged, .page_size = 16, .shared_keys = 2768};
    for (const Variants& variants : all_variants())
        for (const HeadSizes& heads : {HeadSizes{4, 2, 20, 12}, HeadSizes{3, 1, 9, 33}}) {
            const VariantCall shared(variants, sequences, placing, heads);
            VariantCall alone(variants, sequences, placing, heads);
            alone.arguments.shared_keys = 0;
            shared.run();
            alone.run();
            check_within_rounding(shared, alone);
        }
}

TEST_CASE("sequences share where their queries see all of the prefix by position, and read it by themselves elsewhere") {
    for (const Variants& variants : all_variants()) {
        const VariantCall call(variants, kMixed, kPaged);
        const AttentionPlan plan(call.shape, call.options);
        AttentionArguments without = call.arguments;
        without.shared_keys = 0;
        INFO(call.text());
        std::int64_t joining = 0;
        for (std::size_t b = 0; b < kMixed.size(); ++b) joining += joins(call, b) ? 1 : 0;
        const AttentionExplanation shared = plan.explain(call.arguments), alone = plan.explain(without);
        const std::int64_t bytes = 4 * call.shape.num_kv_heads * (call.shape.head_dim + call.shape.value_dim) * 64;
        CHECK(shared.flops == alone.flops);
        CHECK(alone.bytes - shared.bytes == static_cast<double>(bytes * std::max<std::int64_t>(joining - 1, 0)));
        CHECK(shared.variants.find("shared prefix") != std::string::npos);
        CHECK(alone.variants.find("shared prefix") == std::string::npos);
    }
}

TEST_CASE("explain() counts the shared keys once") {
    // 16 sequences of one token, 4 rows a key/value head each: 64 rows together.
    const AttentionShape shape{16, 8, 2, 1, 1024 + 256, 32, 32};
    const std::vector<std::int32_t> lengths(16, 1024 + 256);
    const AttentionPlan plan(shape, {.shared_prefix = true, .max_threads = 1});
    AttentionArguments a;
    a.query = {nullptr, {16, 8, 1, 32}, {}};
    a.key = {nullptr, {16, 2, 1280, 32}, {}};
    a.value = a.key;
    a.out = {nullptr, {16, 8, 1, 32}, {}};
    a.key_lengths = lengths;
    a.shared_keys = 1024;
    const AttentionExplanation e = plan.explain(a);
    INFO(e.text());
    CHECK(e.flops == 2.0 * 64 * 16 * 8 * 1280);
    CHECK(e.bytes == 4.0 * 64 * (16 * 8 + 2 * (1024 + 16 * 256)));
    CHECK(e.kernel == "query-lanes and key-rows");
    CHECK(e.least_task_flops == 2.0 * 64 * 4 * 256);
    CHECK(e.most_task_flops >= e.flops / static_cast<double>(e.tasks));
}

// ---- Bits

std::vector<float> results_of(const Variants& variants, const std::vector<SequenceSizes>& sequences, const Placing& placing,
                              std::uint64_t seed, const HeadSizes& heads = {}) {
    const VariantCall call(variants, sequences, placing, heads);
    call.run();
    const auto place = std::ranges::find(sequences, seed, &SequenceSizes::seed) - sequences.begin();
    return call.results(static_cast<std::size_t>(place));
}

TEST_CASE("how many sequences share the prefix, which, and in what order changes no bit") {
    for (const Variants& variants : all_variants())
        for (const SequenceSizes& one : std::vector<SequenceSizes>{{1, 150, 31}, {9, 80, 32}, {70, 140, 33}}) {
            const std::vector<float> alone = results_of(variants, {one}, kPaged, one.seed);
            std::vector<SequenceSizes> many;
            for (std::int64_t seed = 1; seed < 40; ++seed)
                many.push_back({seed % 3 + 1, 64 + seed, static_cast<std::uint64_t>(seed)});
            many[17] = one;
            const std::vector<std::vector<SequenceSizes>> batches = {
                {{5, 100, 1}, one}, {one, {1, 64, 2}, {0, 70, 3}}, {{64, 64, 4}, {33, 65, 5}, one, {70, 140, 6}}, many};
            for (const auto& batch : batches)
                for (const Placing& placing : {kPlacings[0], kPlacings[2], kPlacings[3]}) {
                    INFO(VariantCall(variants, batch, placing).text());
                    CHECK(same_bits(results_of(variants, batch, placing, one.seed), alone));
                }
        }
}

TEST_CASE("other groups of heads and dims: who shares the prefix changes no bit") {
    const std::vector<SequenceSizes> sequences = {{3, 90, 1}, {1, 64, 2}, {30, 94, 3}, {1, 600, 4}};
    for (const HeadSizes& heads : {HeadSizes{3, 3, 5, 9}, HeadSizes{5, 1, 33, 4}, HeadSizes{8, 1, 64, 70}})
        for (const Variants& variants : all_variants()) {
            const VariantCall together(variants, sequences, kPaged, heads);
            together.run();
            INFO(together.text());
            for (std::size_t b = 0; b < sequences.size(); ++b)
                CHECK(same_bits(together.results(b), results_of(variants, {sequences[b]}, kPaged, sequences[b].seed, heads)));
        }
}

TEST_CASE("the same bits with 1, 2, 3 and 8 threads, chunks of shared keys being tasks or not") {
    const std::vector<SequenceSizes> few = {{1, 2700, 11}, {3, 2800, 12}}, more = {{60, 2660, 13}, {1, 2700, 11}, {17, 3000, 12}};
    const Placing placing{.packing = Packing::paged, .page_size = 64, .shared_keys = 2560};
    for (const Variants& variants : all_variants())
        for (const auto& sequences : {few, more}) {
            const VariantCall call(variants, sequences, placing, {2, 1, 40, 40});
            INFO(call.text());
            std::vector<std::vector<float>> expected;
            for (const int threads : {1, 2, 3, 8}) {
                oneapi::tbb::task_arena arena(threads);
                arena.execute([&] {
                    const AttentionExplanation e = AttentionPlan(call.shape, call.options).explain(call.arguments);
                    CHECK((e.workers > 1) == (threads > 1));
                    if (sequences.size() == few.size()) CHECK(e.keys_split == (threads > 1));
                    call.run();
                });
                for (std::size_t b = 0; b < sequences.size(); ++b) {
                    if (threads == 1) expected.push_back(call.results(b));
                    CHECK(same_bits(call.results(b), expected[b]));
                }
            }
        }
}

TEST_CASE("without shared keys a plan that may have some gives the bits of one that may not") {
    for (const Variants& variants : all_variants()) {
        const VariantCall plain(variants, kMixed, {.packing = Packing::padded});
        VariantCall planned(variants, kMixed, {.packing = Packing::padded});
        planned.options.shared_prefix = true;
        plain.run();
        planned.run();
        for (std::size_t b = 0; b < kMixed.size(); ++b) CHECK(same_bits(plain.results(b), planned.results(b)));
    }
}

TEST_CASE("one plan runs prefixes of any length in turn") {
    const std::vector<SequenceSizes> sequences = {{2, 700, 1}, {2, 640, 2}, {1, 900, 3}};
    const VariantCall planned({}, sequences, kPaged);
    const AttentionPlan plan(planned.shape, planned.options);
    const GuardedMemory workspace(plan.workspace_bytes(), Guard::above);
    for (const std::int64_t shared_keys : {0, 16, 640, 128}) {
        Placing placing = kPaged;
        placing.shared_keys = shared_keys;
        const VariantCall call({}, sequences, placing), alone({}, sequences, placing);
        plan.run(call.arguments, {workspace.data(), workspace.size()});
        alone.run();
        for (std::size_t b = 0; b < sequences.size(); ++b) CHECK(same_bits(call.results(b), alone.results(b)));
    }
}

// ---- Memory

TEST_CASE("nothing is read or written beyond the arrays, nor what belongs to nobody") {
    for (const Variants& variants : all_variants())
        for (const auto& sequences : {kMixed, kDecode})
            for (Placing placing : kPlacings) {
                placing.filler = 0;
                const VariantCall above(variants, sequences, placing);
                above.run();
                placing.guard = Guard::below;
                for (const float filler : {kNan, kInfinity, 1e30f}) {
                    placing.filler = filler;
                    const VariantCall below(variants, sequences, placing);
                    below.run();
                    INFO(below.text() << ", filler " << filler);
                    CHECK(below.padding_is_clear());
                    for (std::size_t b = 0; b < sequences.size(); ++b) CHECK(same_values(above.results(b), below.results(b)));
                }
            }
}

TEST_CASE("the workspace grows by 8 bytes a sequence and 8 for each query and head, and stays below 2 MiB a worker beside") {
    for (const int workers : {1, 3, 64}) {
        oneapi::tbb::task_arena arena(workers);
        arena.execute([&] {
            for (const std::int64_t batch : {1, 63, 127, 1000, 100'000})
                for (const std::int64_t dim :
                     {std::int64_t{2}, std::int64_t{40}, std::int64_t{128}, std::int64_t{424}, kMaxHeadDim})
                    for (const std::int64_t queries : {0, 1, 8, 65, 4096}) {
                        const AttentionShape shape{batch, 6, 2, queries, 100, dim, dim};
                        const std::size_t bytes = AttentionPlan(shape, {.shared_prefix = true}).workspace_bytes();
                        INFO("workers " << workers << " batch " << batch << " dim " << dim << " queries " << queries);
                        REQUIRE(bytes < static_cast<std::size_t>(workers) * (2u << 20) +
                                            static_cast<std::size_t>(136 * batch + 8 * batch * queries * 6));
                    }
        });
    }
}

// ---- Rows that do not see one part, or either

/// [batch, 1, 1, keys] bytes: hides some keys of every second sequence from all queries.
struct HiddenKeys {
    HiddenKeys(VariantCall& call, std::int64_t begin, std::int64_t end) {
        const std::int64_t keys = call.shape.key_length;
        for (std::int64_t b = 0; b < call.shape.batch; ++b)
            for (std::int64_t j = 0; j < keys; ++j) memory.push_back(b % 2 == 0 && j >= begin && j < end ? 0 : 1);
        call.arguments.mask = {memory.data(), {call.shape.batch, 1, 1, keys}};
    }
    std::vector<std::uint8_t> memory;
};

void fill_key(const VariantCall& call, std::size_t b, std::int64_t j, float x) {
    for (std::int64_t h = 0; h < call.shape.num_kv_heads; ++h) {
        std::fill_n(call.key(b, h, j), call.shape.head_dim, x);
        std::fill_n(call.value(b, h, j), call.shape.value_dim, x);
    }
}

TEST_CASE("a part that a row sees nothing of is nothing to it, whatever it holds; a row that sees neither is 0 or the sink") {
    const std::vector<SequenceSizes> sequences = {{1, 80, 1}, {1, 80, 2}, {20, 90, 3}, {20, 90, 4}};
    const auto run = [&](bool sinks, std::int64_t begin, std::int64_t end, float garbage) {
        VariantCall call({.sinks = sinks}, sequences, kPaged);
        const HiddenKeys hidden(call, begin, end);
        // The shared keys are seen by the other sequences: there the garbage shows.
        for (std::int64_t j = begin; j < std::min<std::int64_t>(end, 64); ++j) fill_key(call, 0, j, garbage);
        for (const std::size_t b : {0u, 2u})
            for (std::int64_t j = std::max<std::int64_t>(begin, 64); j < std::min(end, sequences[b].keys); ++j)
                fill_key(call, b, j, garbage);
        call.run();
        return std::vector{call.results(0), call.results(1), call.results(2), call.results(3)};
    };
    for (const bool sinks : {false, true})
        for (const auto& [begin, end] : std::vector<std::pair<std::int64_t, std::int64_t>>{{0, 64}, {64, 90}, {0, 90}, {10, 80}}) {
            const auto clean = run(sinks, begin, end, 0.5f);
            for (const float garbage : {kNan, kInfinity, -kInfinity, 1e30f}) {
                INFO("hidden from " << begin << " to " << end << ", garbage " << garbage << ", sinks " << sinks);
                const auto spoilt = run(sinks, begin, end, garbage);
                CHECK(same_values(spoilt[0], clean[0]));
                CHECK(same_values(spoilt[2], clean[2]));
                if (begin >= 64) CHECK(same_values(spoilt[1], clean[1]));
                if (begin < 64 && std::isnan(garbage)) CHECK(std::ranges::all_of(spoilt[1], [](float x) { return std::isnan(x); }));
            }
            if (begin > 0 || end < 90) continue;
            const auto outs = clean[0].begin() + 4 * 12;
            CHECK(std::all_of(clean[0].begin(), outs, [](float x) { return x == 0; }));
            if (!sinks) CHECK(std::all_of(outs, clean[0].end(), [](float x) { return x == -kInfinity; }));
        }
}

TEST_CASE("NaN in a shared or an own key reaches all rows that see it, and no others") {
    for (const std::int64_t key : {3, 70}) {
        const VariantCall clean({}, kDecode, kPaged), call({}, kDecode, kPaged);
        clean.run();
        fill_key(call, 2, key, kNan);
        call.run();
        for (std::size_t b = 0; b < kDecode.size(); ++b) {
            INFO("key " << key << ", sequence " << b);
            if (key < 64 || b == 2)
                CHECK(std::ranges::all_of(call.results(b), [](float x) { return std::isnan(x); }));
            else
                CHECK(same_bits(call.results(b), clean.results(b)));
        }
    }
}

TEST_CASE("logits of -Inf in one part leave the other; in both they give NaN, as without shared keys") {
    for (const bool shared : {false, true})
        for (const bool own : {false, true}) {
            const VariantCall call({}, {{1, 80, 1}, {12, 90, 2}}, kPaged);
            for (std::size_t b = 0; b < 2; ++b) {
                for (std::int64_t h = 0; h < 4; ++h)
                    for (std::int64_t i = 0; i < call.sequences[b].queries; ++i) std::fill_n(call.query(b, h, i), 20, 1.0f);
                for (std::int64_t h = 0; h < 2; ++h)
                    for (std::int64_t j = 0; j < call.sequences[b].keys; ++j)
                        if (j < 64 ? shared : own) std::fill_n(call.key(b, h, j), 20, -kInfinity);
            }
            call.run();
            INFO("shared " << shared << ", own " << own);
            for (std::size_t b = 0; b < 2; ++b) {
                const std::vector<float> results = call.results(b);
                const auto outs = results.begin() + 4 * call.sequences[b].queries * 12;
                CHECK(
                    std::all_of(results.begin(), outs, [&](float x) { return shared && own ? std::isnan(x) : std::isfinite(x); }));
                CHECK(
                    std::all_of(outs, results.end(), [&](float x) { return shared && own ? x == -kInfinity : std::isfinite(x); }));
            }
        }
}

}  // namespace
}  // namespace headwise::test
