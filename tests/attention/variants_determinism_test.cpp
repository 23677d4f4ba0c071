// Whatever a call asks for, the bits of a sequence follow from the sequence alone: not from threads, the batch, the place in it,
// the neighbours, or how tokens lie in memory.
#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <vector>

#include "tests/attention/variant_call.hpp"

namespace headwise::test {
namespace {

// Both kernels, with so few blocks of rows that chunks of keys become tasks; and with more.
const std::vector<SequenceSizes> kFewBlocks = {{1, 2600, 11}, {17, 1100, 12}};
const std::vector<SequenceSizes> kMoreBlocks = {{60, 70, 13}, {1, 2600, 11}, {3, 3, 14}, {17, 1100, 12}, {120, 120, 15}};

// Lets oneTBB really start the threads that an arena asks for, however few cores there are.
const oneapi::tbb::global_control kEightThreads(oneapi::tbb::global_control::max_allowed_parallelism, 8);

TEST_CASE("the same bits with 1, 2, 3 and 8 threads, chunks of keys being tasks or not") {
    constexpr Packing kPackings[] = {Packing::padded, Packing::ragged, Packing::paged};
    std::size_t turn = 0;
    for (const Variants& variants : all_variants())
        for (const bool few : {true, false}) {
            const VariantCall call(variants, few ? kFewBlocks : kMoreBlocks, {.packing = kPackings[turn++ % 3]},
                                   {.num_heads = 2, .num_kv_heads = 1});
            INFO(call.text());
            std::vector<float> expected;
            for (const int threads : {1, 2, 3, 8}) {
                oneapi::tbb::task_arena arena(threads);
                arena.execute([&] {
                    const AttentionExplanation e = AttentionPlan(call.shape, call.options).explain(call.arguments);
                    CHECK((e.workers > 1) == (threads > 1));
                    if (few) CHECK(e.keys_split == (threads > 1));
                    call.run();
                });
                const std::vector<float> results = call.results();
                if (threads == 1) expected = results;
                CHECK(same_bits(results, expected));
            }
        }
}

/// One sequence in a call of its own, without lengths.
std::vector<float> results_alone(const Variants& variants, const SequenceSizes& sequence, const HeadSizes& heads) {
    const VariantCall call(variants, {sequence}, {}, heads);
    call.run();
    return call.results(0);
}

/// Every sequence of the batch as it is alone.
void check_batch(const Variants& variants, const std::vector<SequenceSizes>& sequences, const Placing& placing,
                 const std::vector<std::vector<float>>& alone, const HeadSizes& heads = {}) {
    const VariantCall call(variants, sequences, placing, heads);
    call.run();
    CHECK(call.padding_is_clear());
    for (std::size_t b = 0; b < sequences.size(); ++b) {
        INFO(call.text() << ", sequence " << b);
        CHECK(same_bits(call.results(b), alone[b]));
    }
}

TEST_CASE("padded, ragged or paged: a sequence has the bits that it has alone") {
    const std::vector<SequenceSizes> sequences = {{1, 700, 21}, {12, 40, 22}, {40, 41, 23}, {2, 2, 24}, {1, 1, 25}};
    for (const Variants& variants : all_variants()) {
        std::vector<std::vector<float>> alone;
        for (const SequenceSizes& sequence : sequences) alone.push_back(results_alone(variants, sequence, {}));
        check_batch(variants, sequences, {.packing = Packing::padded, .spare = 3}, alone);
        check_batch(variants, sequences, {.packing = Packing::ragged}, alone);
        for (const std::int64_t page_size : {1, 3, 16, 64})
            check_batch(variants, sequences, {.packing = Packing::paged, .page_size = page_size}, alone);
        check_batch(variants, sequences, {.packing = Packing::ragged_paged, .page_size = 16}, alone);
    }
}

TEST_CASE("the place in the batch, its size and the neighbours change no bit") {
    const SequenceSizes one{9, 530, 31};
    const std::vector<std::vector<SequenceSizes>> batches = {
        {one}, {{30, 31, 1}, one}, {one, {1, 4, 2}, {0, 0, 3}}, {{0, 5, 4}, {9, 530, 5}, one, {20, 600, 6}, {9, 530, 7}}};
    for (const Variants& variants : all_variants()) {
        const std::vector<float> alone = results_alone(variants, one, {});
        for (const std::vector<SequenceSizes>& batch : batches)
            for (const Packing packing : {Packing::padded, Packing::ragged, Packing::paged}) {
                const VariantCall call(variants, batch, {.packing = packing});
                call.run();
                INFO(call.text());
                const auto place = std::ranges::find(batch, one.seed, &SequenceSizes::seed) - batch.begin();
                CHECK(same_bits(call.results(static_cast<std::size_t>(place)), alone));
            }
    }
}

TEST_CASE("sequences without queries or without keys stand in a batch like others") {
    for (const Variants& variants : all_variants()) {
        if (variants.tree) continue;  // asks for as many keys as queries
        const std::vector<SequenceSizes> sequences = {{5, 0, 41}, {0, 9, 42}, {0, 0, 43}, {5, 9, 44}, {30, 2, 45}};
        std::vector<std::vector<float>> alone;
        for (const SequenceSizes& sequence : sequences) alone.push_back(results_alone(variants, sequence, {}));
        for (const Packing packing : {Packing::padded, Packing::ragged, Packing::paged, Packing::ragged_paged})
            check_batch(variants, sequences, {.packing = packing}, alone);
    }
}

TEST_CASE("groups of query heads that do not divide a vector, multi-query and multi-head") {
    const std::vector<SequenceSizes> sequences = {{7, 150, 51}, {1, 33, 52}, {30, 30, 53}};
    constexpr HeadSizes kHeads[] = {{.num_heads = 3, .num_kv_heads = 3, .head_dim = 5, .value_dim = 9},
                                    {.num_heads = 5, .num_kv_heads = 1, .head_dim = 33, .value_dim = 4}};
    for (const HeadSizes& heads : kHeads)
        for (const Variants& variants : all_variants()) {
            std::vector<std::vector<float>> alone;
            for (const SequenceSizes& sequence : sequences) alone.push_back(results_alone(variants, sequence, heads));
            check_batch(variants, sequences, {.packing = Packing::padded}, alone, heads);
            check_batch(variants, sequences, {.packing = Packing::ragged}, alone, heads);
            check_batch(variants, sequences, {.packing = Packing::paged, .page_size = 3}, alone, heads);
        }
}

}  // namespace
}  // namespace headwise::test
