// Every size at which some loop of a kernel changes its course: the result is right on both sides of it.
#include <doctest/doctest.h>

#include <vector>

#include "engine/kernels/kernel_table.hpp"
#include "tests/support/attention_case.hpp"

namespace headwise::test {
namespace {

constexpr Causal kCausal[] = {Causal::none, Causal::top_left, Causal::bottom_right};

void check_all_causal(const AttentionShape& shape) {
    for (const Causal causal : kCausal) check_attention({.shape = shape, .options = {.causal = causal}});
}

/// The lengths up to `dense`, then those next to multiples of 64 (and so of every smaller tile) and of the active ISA's own blocks.
std::vector<std::int64_t> lengths_around(std::int64_t dense, std::int64_t block, std::int64_t last) {
    std::vector<std::int64_t> lengths;
    for (std::int64_t n = 0; n <= last; ++n) {
        const auto beside = [n](std::int64_t multiple) { return (n + 1) % multiple <= 2; };
        if (n <= dense || beside(128) || beside(block)) lengths.push_back(n);
    }
    return lengths;
}

TEST_CASE("any number of queries") {
    const AttentionKernels& kernels = kernel_table(active_isa()).attention;
    for (const std::int64_t queries : lengths_around(140, kernels.query_lanes.max_rows, 2 * kernels.query_lanes.max_rows + 2))
        check_all_causal({.query_length = queries, .key_length = 41, .head_dim = 20});
}

TEST_CASE("any number of keys, for a single query, a few and more than a vector of them") {
    const AttentionKernels& kernels = kernel_table(active_isa()).attention;
    for (const std::int64_t queries : {1, 5, 21}) {
        const std::int64_t block = queries <= 5 ? kernels.key_rows.key_block : kernels.query_lanes.key_block;
        for (const std::int64_t keys : lengths_around(200, block, 1030))
            check_all_causal({.query_length = queries, .key_length = keys, .head_dim = 12});
    }
}

TEST_CASE("key lengths at which the number of key chunks changes") {
    for (const std::int64_t queries : {1, 20, 70}) {
        const AttentionShape shape{.query_length = queries, .key_length = 1, .head_dim = 9};
        const AttentionPlan plan(shape);
        std::int64_t chunks = 1;
        for (std::int64_t keys = 1; keys < 6000; ++keys) {
            const std::int64_t now = plan.explain(keys).key_chunks;
            if (now == chunks) continue;
            CHECK(now > chunks);
            chunks = now;
            for (const std::int64_t around : {keys - 1, keys, keys + 1})
                check_all_causal({.query_length = queries, .key_length = around, .head_dim = 9});
        }
        CHECK(chunks > 1);
    }
}

TEST_CASE("queries and keys around one another's length, with both alignments") {
    for (const std::int64_t length : {16, 63, 64, 65, 127, 128, 129, 191, 193, 257})
        for (const std::int64_t difference : {-130, -65, -64, -17, -16, -1, 0, 1, 15, 31, 64, 100})
            if (length + difference >= 0)
                check_all_causal({.query_length = length, .key_length = length + difference, .head_dim = 16});
}

TEST_CASE("every head dimension from 1 to 160, then odd ones and others up to the largest") {
    std::vector<std::int64_t> dims;
    for (std::int64_t d = 1; d <= 160; ++d) dims.push_back(d);
    for (const std::int64_t d :
         {161, 175, 191, 192, 193, 255, 256, 257, 319, 320, 333, 383, 384, 447, 449, 509, 511, 512, 513, 575, 576})
        dims.push_back(d);
    for (const std::int64_t d : dims)
        for (const std::int64_t queries : {2, 18}) {
            const Causal causal = kCausal[d % 3];
            const AttentionShape shape{.query_length = queries, .key_length = 23, .head_dim = d};
            check_attention({.shape = shape, .options = {.causal = causal}, .guard = Guard::above});
            check_attention({.shape = shape, .options = {.causal = causal}, .guard = Guard::below});
        }
}

TEST_CASE("values of another dimension than the queries and keys") {
    for (std::int64_t d = 1; d <= 160; d += 3)
        for (const std::int64_t queries : {1, 17})
            check_attention({.shape = {.query_length = queries, .key_length = 19, .head_dim = d, .value_dim = 161 - d}});
    for (const auto& [d, value_dim] : {std::pair{512, 1}, {1, 512}, {64, 511}, {509, 63}, {128, 256}, {576, 512}, {512, 576}})
        for (const std::int64_t queries : {1, 17})
            check_attention({.shape = {.query_length = queries, .key_length = 19, .head_dim = d, .value_dim = value_dim}});
}

TEST_CASE("from 1 to 16 query heads on each key/value head") {
    for (std::int64_t group = 1; group <= 16; ++group)
        for (const std::int64_t queries : {1, 2, 3, 7, 33}) {
            check_all_causal(
                {.num_heads = 2 * group, .num_kv_heads = 2, .query_length = queries, .key_length = 50, .head_dim = 13});
            check_all_causal({.batch = 2, .num_heads = group, .query_length = queries, .key_length = 5, .head_dim = 16});
        }
}

TEST_CASE("lengths 0 and 1, and no batch") {
    for (const std::int64_t batch : {0, 1, 2})
        for (const std::int64_t queries : {0, 1, 2})
            for (const std::int64_t keys : {0, 1, 2})
                check_all_causal({.batch = batch,
                                  .num_heads = 4,
                                  .num_kv_heads = 2,
                                  .query_length = queries,
                                  .key_length = keys,
                                  .head_dim = 8});
    for (const std::int64_t queries : {17, 100}) check_all_causal({.query_length = queries, .key_length = 0, .head_dim = 33});
}

TEST_CASE("prime lengths and dimensions") {
    for (const std::int64_t queries : {7, 31, 97})
        for (const std::int64_t keys : {3, 61, 251})
            for (const std::int64_t dim : {5, 47})
                check_all_causal({.batch = 2, .num_heads = 3, .query_length = queries, .key_length = keys, .head_dim = dim});
}

TEST_CASE("long sequences") {
    check_attention({.shape = {.query_length = 1, .key_length = 30011, .head_dim = 64}});
    check_attention({.shape = {.num_heads = 8, .num_kv_heads = 2, .query_length = 1, .key_length = 4099, .head_dim = 128}});
    check_attention(
        {.shape = {.query_length = 300, .key_length = 2500, .head_dim = 32}, .options = {.causal = Causal::bottom_right}});
    check_attention({.shape = {.num_heads = 2, .query_length = 700, .key_length = 700, .head_dim = 64},
                     .options = {.causal = Causal::top_left}});
}

TEST_CASE("a query that may see no key gives 0") {
    for (const std::int64_t queries : {4, 90}) {
        const AttentionCase c{.shape = {.query_length = queries, .key_length = queries - 3, .head_dim = 11},
                              .options = {.causal = Causal::bottom_right}};
        const AttentionTensors tensors(c);
        run_engine(tensors.views(), c.options);
        for (const std::int64_t query : {0, 1, 2})
            for (std::int64_t d = 0; d < 11; ++d) CHECK(tensors.out.at(0, 0, query, d) == 0);
        CHECK(tensors.out.at(0, 0, 3, 0) == tensors.value.at(0, 0, 0, 0));
    }
}

}  // namespace
}  // namespace headwise::test
