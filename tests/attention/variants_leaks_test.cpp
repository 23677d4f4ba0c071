// What a query may not see, and what belongs to no sequence, changes no result; what it sees does. -0 is taken for 0.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "tests/attention/variant_call.hpp"

namespace headwise::test {
namespace {

constexpr float kGarbage[] = {kNan, kInfinity, -kInfinity, 1e30f};
constexpr HeadSizes kHeads[] = {{.num_heads = 4, .num_kv_heads = 2, .head_dim = 20, .value_dim = 12},
                                {.num_heads = 1, .num_kv_heads = 1, .head_dim = 9, .value_dim = 33}};

std::vector<float> row_of(const VariantCall& call, std::int64_t h, std::int64_t i) {
    std::vector<float> row(call.out(0, h, i), call.out(0, h, i) + call.shape.value_dim);
    row.push_back(call.log_sum_exp(0, h, i));
    return row;
}

bool all_nan(const std::vector<float>& row) {
    return std::ranges::all_of(row, [](float x) { return std::isnan(x); });
}

template <class Function>
void for_rows(const VariantCall& call, Function function) {
    for (std::int64_t h = 0; h < call.shape.num_heads; ++h)
        for (std::int64_t i = 0; i < call.sequences[0].queries; ++i) function(h, i);
}

void fill_token(const VariantCall& call, std::int64_t j, float key, float value) {
    for (std::int64_t h = 0; h < call.shape.num_kv_heads; ++h) {
        std::fill_n(call.key(0, h, j), call.shape.head_dim, key);
        std::fill_n(call.value(0, h, j), call.shape.value_dim, value);
    }
}

/// With garbage in key `j` and its value: rows that do not see it are those of `clean`, and NaN reaches all that do.
void check_key(const Variants& variants, const SequenceSizes& sizes, const HeadSizes& heads, const VariantCall& clean,
               std::int64_t j) {
    const VariantCall call(variants, {sizes}, {}, heads);
    for (const float garbage : kGarbage) {
        INFO(call.text() << ", key " << j << " holds " << garbage);
        fill_token(call, j, garbage, garbage);
        call.run();
        bool hidden = true, seen = true;
        for_rows(call, [&](std::int64_t h, std::int64_t i) {
            if (!call.sees(0, h, i, j))
                hidden &= same_values(row_of(call, h, i), row_of(clean, h, i));
            else if (std::isnan(garbage))
                seen &= all_nan(row_of(call, h, i));
        });
        CHECK_MESSAGE(hidden, "it leaks into a row that does not see it");
        CHECK_MESSAGE(seen, "it does not reach a row that sees it");
    }
}

TEST_CASE("garbage in a key and its value reaches the rows that see them, and no other") {
    for (const Variants& variants : all_variants())
        for (const SequenceSizes& sizes : std::vector<SequenceSizes>{{1, 70, 1}, {2, 600, 2}, {20, 90, 3}, {70, 75, 4}})
            for (const HeadSizes& heads : kHeads) {
                const VariantCall clean(variants, {sizes}, {}, heads);
                clean.run();
                for (const std::int64_t j : {std::int64_t{0}, sizes.keys / 2, sizes.keys - 9, sizes.keys - 2, sizes.keys - 1})
                    check_key(variants, sizes, heads, clean, j);
            }
}

TEST_CASE("garbage in all keys but those that one row sees leaves this row as it was") {
    for (const Variants& variants : all_variants())
        for (const SequenceSizes& sizes : std::vector<SequenceSizes>{{1, 70, 1}, {3, 600, 2}, {40, 90, 3}}) {
            const VariantCall clean(variants, {sizes});
            clean.run();
            for (const std::int64_t i : {std::int64_t{0}, sizes.queries / 2, sizes.queries - 1})
                for (const float garbage : kGarbage) {
                    const std::int64_t head = i % clean.shape.num_heads;
                    const VariantCall call(variants, {sizes});
                    for (std::int64_t j = 0; j < sizes.keys; ++j)
                        if (!call.sees(0, head, i, j)) fill_token(call, j, garbage, garbage);
                    call.run();
                    INFO(call.text() << ", row " << i << " of head " << head << ", garbage " << garbage);
                    CHECK(same_values(row_of(call, head, i), row_of(clean, head, i)));
                }
        }
}

TEST_CASE("what padded rows, unused pages and slots, and pairs beyond the lengths hold changes nothing") {
    const std::vector<SequenceSizes> sequences = {{1, 300, 1}, {20, 33, 2}, {3, 3, 3}, {33, 70, 4}};
    for (const Variants& variants : all_variants())
        for (const Packing packing : {Packing::padded, Packing::ragged, Packing::paged, Packing::ragged_paged}) {
            Placing placing{.packing = packing, .page_size = 7, .spare = 5, .filler = 0};
            const VariantCall clean(variants, sequences, placing);
            clean.run();
            for (const float filler : kGarbage) {
                placing.filler = filler;
                const VariantCall call(variants, sequences, placing);
                call.run();
                INFO(call.text() << ", filler " << filler);
                CHECK(call.padding_is_clear());
                for (std::size_t b = 0; b < sequences.size(); ++b) CHECK(same_values(call.results(b), clean.results(b)));
            }
        }
}

// ---- Rows that see nothing

constexpr bool is_blind(std::int64_t query) {
    return query % 3 == 1;
}

/// Hides the queries on which `blind` says so; `memory` outlives the call.
struct Blinder {
    const char* name;
    Variants variants;
    void (*blind)(VariantCall& call, std::vector<std::uint8_t>& memory);
};

constexpr auto kBlindFunction = [](auto score, std::int64_t, std::int64_t, std::int64_t query, std::int64_t) {
    return is_blind(query) ? -std::numeric_limits<decltype(score)>::infinity() : score;
};

/// [1, 1, queries, width] bytes, 0 for the blind queries.
TensorView<const std::uint8_t, 4> rows_of_bytes(const VariantCall& call, std::vector<std::uint8_t>& memory, std::int64_t width) {
    for (std::int64_t i = 0; i < call.shape.query_length; ++i)
        memory.insert(memory.end(), static_cast<std::size_t>(width), is_blind(i) ? 0 : 0xff);
    return {memory.data(), {1, 1, call.shape.query_length, width}};
}

const Blinder kBlinders[] = {
    {"mask", {}, [](auto& c, auto& memory) { c.arguments.mask = rows_of_bytes(c, memory, c.shape.key_length); }},
    {"bits", {}, [](auto& c, auto& memory) { c.arguments.mask_bits = rows_of_bytes(c, memory, (c.shape.key_length + 7) / 8); }},
    {"blocks", {}, [](auto& c, auto& memory) { c.arguments.block_mask = {rows_of_bytes(c, memory, 1), 1, c.shape.key_length}; }},
    {"bias",
     {.bias = true},
     [](auto& c, auto&) {
         for_rows(c, [&](auto h, auto i) {
             if (is_blind(i)) std::fill_n(&c.bias(0, h, i, 0), c.shape.key_length, -kInfinity);
         });
     }},
    {"function", {}, [](auto& c, auto&) { c.arguments.score_function = score_function(kBlindFunction); }},
    {"causal", {.options = {.causal = Causal::bottom_right}}, [](auto&, auto&) {}},
    {"causal and mask",
     {.options = {.causal = Causal::bottom_right}, .mask = true},
     [](auto& c, auto& memory) { c.arguments.mask_bits = rows_of_bytes(c, memory, (c.shape.key_length + 7) / 8); }},
    {"window", {.options = {.alignment = Alignment::top_left, .window = {.left = 0, .right = 0}}}, [](auto&, auto&) {}},
};

/// Runs the call; rows that see nothing must be 0 and the sink, and there must be some. Returns what the others are.
std::vector<float> check_blind_rows(const VariantCall& call) {
    call.run();
    std::int64_t blind = 0;
    bool zero = true, sums = true;
    std::vector<float> others;
    for_rows(call, [&](std::int64_t h, std::int64_t i) {
        const std::vector<float> row = row_of(call, h, i);
        bool sees = false;
        for (std::int64_t j = 0; j < call.sequences[0].keys; ++j) sees |= call.sees(0, h, i, j);
        if (sees) {
            others.insert(others.end(), row.begin(), row.end());
            return;
        }
        ++blind;
        zero &= std::all_of(row.begin(), row.end() - 1, [](float x) { return x == 0; });
        const auto& sinks = call.arguments.sinks;
        sums &= row.back() == (sinks.empty() ? -kInfinity : sinks[static_cast<std::size_t>(h)]);
    });
    CHECK(blind > 0);
    CHECK_MESSAGE(zero, "out is not 0");
    CHECK_MESSAGE(sums, "log_sum_exp is not -Inf, or the sink");
    return others;
}

TEST_CASE("a row that may see nothing is 0 and its log_sum_exp -Inf, or the sink, whatever the keys hold") {
    for (const Blinder& blinder : kBlinders)
        for (const SequenceSizes& sizes : std::vector<SequenceSizes>{{2, 1, 1}, {3, 2, 2}, {40, 7, 3}, {90, 33, 4}})
            for (const bool sinks : {false, true})
                for (const float garbage : {0.5f, kNan, kInfinity, -kInfinity}) {
                    Variants variants = blinder.variants;
                    variants.name = blinder.name;
                    variants.sinks = sinks;
                    std::vector<std::uint8_t> memory;
                    VariantCall call(variants, {sizes});
                    blinder.blind(call, memory);
                    for (std::int64_t j = 0; j < sizes.keys; ++j) fill_token(call, j, garbage, garbage);
                    INFO(call.text() << ", keys hold " << garbage);
                    const std::vector<float> others = check_blind_rows(call);
                    if (std::isnan(garbage)) CHECK(all_nan(others));
                }
}

TEST_CASE("without keys every row is 0 and its log_sum_exp -Inf, or the sink") {
    for (const std::int64_t queries : {1, 3, 40})
        for (const bool sinks : {false, true}) {
            const VariantCall call({.sinks = sinks}, {{queries, 0, 1}});
            CHECK(check_blind_rows(call).empty());
        }
}

TEST_CASE("keys that are seen with logits of -Inf give NaN, not the 0 of rows that see nothing; with a sink they weigh nothing") {
    for (const Blinder& blinder : kBlinders) {
        if (std::string(blinder.name) == "function") continue;  // of which -Inf hides
        for (const SequenceSizes& sizes : std::vector<SequenceSizes>{{3, 2, 2}, {40, 7, 3}, {90, 33, 4}})
            for (const bool sinks : {false, true}) {
                Variants variants = blinder.variants;
                variants.name = blinder.name;
                variants.sinks = sinks;
                std::vector<std::uint8_t> memory;
                VariantCall call(variants, {sizes});
                blinder.blind(call, memory);
                for_rows(call, [&](auto h, auto i) { std::fill_n(call.query(0, h, i), call.shape.head_dim, 1.0f); });
                for (std::int64_t j = 0; j < sizes.keys; ++j) fill_token(call, j, -kInfinity, 1);
                INFO(call.text());
                const std::vector<float> others = check_blind_rows(call);
                const auto width = static_cast<std::size_t>(call.shape.value_dim) + 1;
                REQUIRE(!others.empty());
                for (std::size_t at = 0; at < others.size(); ++at) {
                    const bool is_sum = at % width == width - 1;
                    if (sinks)
                        CHECK((is_sum ? std::isfinite(others[at]) : others[at] == 0));
                    else
                        CHECK((is_sum ? others[at] == -kInfinity : std::isnan(others[at])));
                }
            }
    }
}

}  // namespace
}  // namespace headwise::test
