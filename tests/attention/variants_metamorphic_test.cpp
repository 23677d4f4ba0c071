// Different ways to say the same thing give the same results: bit for bit where the computation is the same, else within what the
// contract allows either.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "tests/attention/rounding.hpp"
#include "tests/attention/variant_call.hpp"

namespace headwise::test {
namespace {

// For the kernels of few and of many rows, one key chunk and several.
const std::vector<SequenceSizes> kSizes = {{1, 90, 1}, {3, 1300, 2}, {20, 20, 3}, {40, 700, 4}, {30, 7, 5}};
constexpr Causal kBottomRight = Causal::bottom_right;

/// Two calls on the same tokens, of which `change` alters the second before both run.
struct Pair {
    Pair(const Variants& one, const Variants& other, const SequenceSizes& sizes,
         const std::function<void(VariantCall& first, VariantCall& second)>& change = {})
        : first(one, {sizes}), second(other, {sizes}) {
        if (change) change(first, second);
        first.run();
        second.run();
    }
    void check_bits() const {
        INFO(first.text() << " against " << second.text());
        CHECK(same_bits(first.results(0), second.results(0)));
    }
    void check_rounding() const { check_within_rounding(first, second); }

    VariantCall first, second;
};

template <class Function>
void for_pairs(const VariantCall& call, Function function) {
    for (std::int64_t h = 0; h < call.shape.num_heads; ++h)
        for (std::int64_t i = 0; i < call.sequences[0].queries; ++i)
            for (std::int64_t j = 0; j < call.sequences[0].keys; ++j) function(h, i, j);
}

// ---- Masks

TEST_CASE("bytes, bits, a bias of -Inf and blocks of one pair mask alike, bit for bit") {
    for (const SequenceSizes& sizes : kSizes) {
        Variants bytes{.name = "mask", .mask = true}, bits{.name = "mask of bits", .bits = true};
        Variants bias{.name = "bias of -Inf", .bias = true}, blocks{.name = "blocks of one"};
        const VariantCall hidden(bits, {sizes});
        const auto copy = [&](VariantCall& to) {
            for_pairs(to, [&](auto h, auto i, auto j) {
                const bool sees = hidden.sees(0, h, i, j);
                if (to.arguments.mask.data) to.mask(0, h, i, j) = sees ? 1 : 0;
                if (to.arguments.bias.data) to.bias(0, h, i, j) = sees ? 0 : -kInfinity;
            });
        };
        const auto copy_both = [&](VariantCall& a, VariantCall& b) { copy(a), copy(b); };
        Pair(bytes, bits, sizes, copy_both).check_bits();
        Pair(bias, bits, sizes, copy_both).check_bits();
        Pair(blocks, bytes, sizes, [&](VariantCall& a, VariantCall& b) {
            copy(b);
            a.arguments.block_mask = {b.arguments.mask, 1, 1};
        }).check_bits();
    }
}

TEST_CASE("a mask that hides nothing, a bias of 0 and slopes of 0 change no bit") {
    for (const SequenceSizes& sizes : kSizes) {
        const auto clear = [](VariantCall&, VariantCall& b) {
            for_pairs(b, [&](auto h, auto i, auto j) {
                if (b.arguments.mask.data) b.mask(0, h, i, j) = 1;
                if (b.arguments.bias.data) b.bias(0, h, i, j) = 0;
            });
        };
        Pair({}, {.name = "mask", .mask = true}, sizes, clear).check_bits();
        Pair({}, {.name = "bias", .bias = true}, sizes, clear).check_bits();
        const std::vector<float> zeros(4);
        Pair({}, {.name = "slopes of 0"}, sizes, [&](VariantCall&, VariantCall& b) {
            b.arguments.alibi_slopes = zeros;
        }).check_bits();
    }
}

TEST_CASE("causal is a mask of the causal triangle, a window one of a band, a prefix one of a triangle and a rectangle") {
    const Variants rules[] = {{.name = "top-left", .options = {.causal = Causal::top_left}},
                              {.name = "bottom-right", .options = {.causal = kBottomRight}},
                              {.name = "window", .options = {.window = {.left = 11, .right = 4}}},
                              {.name = "top-left window", .options = {.alignment = Alignment::top_left, .window = {.left = 3}}},
                              {.name = "causal window", .options = {.causal = kBottomRight, .window = {.left = 9}}},
                              {.name = "prefix", .options = {.causal = kBottomRight}, .prefix = true},
                              {.name = "tree", .tree = true}};
    for (const SequenceSizes& sizes : kSizes)
        for (const Variants& rule : rules)
            if (!rule.tree || sizes.keys >= sizes.queries)
                Pair(rule, {.name = "mask", .mask = true}, sizes, [](VariantCall& a, VariantCall& b) {
                    for_pairs(b, [&](auto h, auto i, auto j) { b.mask(0, h, i, j) = a.sees(0, h, i, j) ? 1 : 0; });
                }).check_rounding();
}

TEST_CASE("a window that covers everything is none, bit for bit") {
    for (const SequenceSizes& sizes : kSizes)
        for (const Causal causal : {Causal::none, Causal::top_left, kBottomRight})
            for (const std::int64_t bound : {sizes.keys + sizes.queries, std::numeric_limits<std::int64_t>::max()})
                Pair({.options = {.causal = causal}}, {.options = {.causal = causal, .window = {bound, bound}}}, sizes)
                    .check_bits();
}

TEST_CASE("a prefix of all keys is not causal, bit for bit") {
    for (const SequenceSizes& sizes : kSizes)
        for (const std::int32_t prefix : {static_cast<std::int32_t>(sizes.keys), 1 << 30}) {
            const std::vector<std::int32_t> prefixes{prefix};
            Pair({}, {.options = {.causal = kBottomRight}}, sizes, [&](VariantCall&, VariantCall& b) {
                b.arguments.prefix_lengths = prefixes;
            }).check_bits();
        }
}

TEST_CASE("a prefix without causal means nothing, and so does one of no keys") {
    const std::vector<std::int32_t> some{3}, none{0};
    for (const SequenceSizes& sizes : kSizes) {
        Pair({}, {}, sizes, [&](VariantCall&, VariantCall& b) { b.arguments.prefix_lengths = some; }).check_bits();
        Pair({.options = {.causal = kBottomRight}}, {.options = {.causal = kBottomRight}}, sizes,
             [&](VariantCall&, VariantCall& b) { b.arguments.prefix_lengths = none; })
            .check_bits();
    }
}

TEST_CASE("a chain as a tree is causal, bottom-right; a tree of roots sees what comes before and itself") {
    for (const SequenceSizes& sizes : kSizes) {
        if (sizes.keys < sizes.queries) continue;
        std::vector<std::int32_t> chain, roots(static_cast<std::size_t>(sizes.queries), -1);
        for (std::int64_t i = 0; i < sizes.queries; ++i) chain.push_back(static_cast<std::int32_t>(i) - 1);
        Pair({.name = "chain"}, {.options = {.causal = kBottomRight}}, sizes, [&](VariantCall& a, VariantCall&) {
            a.arguments.tree_parents = {chain.data(), {1, sizes.queries}};
        }).check_rounding();
        Pair({.name = "roots"}, {.name = "mask", .mask = true}, sizes, [&](VariantCall& a, VariantCall& b) {
            a.arguments.tree_parents = {roots.data(), {1, sizes.queries}};
            const std::int64_t before = sizes.keys - sizes.queries;
            for_pairs(b, [&](auto h, auto i, auto j) { b.mask(0, h, i, j) = j < before || j == before + i ? 1 : 0; });
        }).check_rounding();
    }
}

// ---- Logits

TEST_CASE("equal scales per head are options.scale, and that of the head dimension none, bit for bit") {
    const std::vector<float> scales(4, 0.37f), usual(4, static_cast<float>(1 / std::sqrt(20.0)));
    for (const SequenceSizes& sizes : kSizes) {
        Pair({.options = {.scale = 0.37f}}, {.name = "scales"}, sizes, [&](VariantCall&, VariantCall& b) {
            b.arguments.scales = scales;
        }).check_bits();
        Pair({}, {.name = "scales"}, sizes, [&](VariantCall&, VariantCall& b) { b.arguments.scales = usual; }).check_bits();
    }
}

TEST_CASE("scales per head replace options.scale") {
    for (const SequenceSizes& sizes : kSizes)
        Pair({.scales = true}, {.options = {.scale = 5.0f}, .scales = true}, sizes).check_bits();
}

TEST_CASE("a softcap far above all logits is none") {
    for (const SequenceSizes& sizes : kSizes) Pair({}, {.options = {.softcap = 1e6f}}, sizes).check_rounding();
}

TEST_CASE("the identity as the caller's function is none") {
    static constexpr auto kIdentity = [](auto score, auto...) { return score; };
    for (const SequenceSizes& sizes : kSizes)
        for (const float softcap : {0.0f, 2.0f})
            Pair({.options = {.softcap = softcap}}, {.name = "identity", .options = {.softcap = softcap}}, sizes,
                 [](VariantCall&, VariantCall& b) { b.arguments.score_function = score_function(kIdentity); })
                .check_rounding();
}

TEST_CASE("slopes are a bias that falls with the distance") {
    for (const SequenceSizes& sizes : kSizes)
        for (const Alignment alignment : {Alignment::bottom_right, Alignment::top_left})
            Pair({.options = {.alignment = alignment}, .alibi = true}, {.bias = true}, sizes, [&](VariantCall& a, VariantCall& b) {
                const std::int64_t offset = alignment == Alignment::top_left ? 0 : sizes.keys - sizes.queries;
                for_pairs(b, [&](auto h, auto i, auto j) {
                    b.bias(0, h, i, j) = a.arguments.alibi_slopes[static_cast<std::size_t>(h)] * static_cast<float>(j - i - offset);
                });
            }).check_rounding();
}

TEST_CASE("a sink of -Inf is none, bit for bit") {
    const std::vector<float> none(4, -kInfinity);
    for (const SequenceSizes& sizes : kSizes)
        for (const bool mask : {false, true})
            Pair({.mask = mask}, {.mask = mask}, sizes, [&](VariantCall&, VariantCall& b) {
                b.arguments.sinks = none;
            }).check_bits();
}

TEST_CASE("a sink is a key whose logit is the sink and whose value is 0") {
    for (const SequenceSizes& sizes : kSizes) {
        SequenceSizes more = sizes;
        ++more.keys;  // the same numbers, and one key behind
        VariantCall with_sink({.name = "sinks", .sinks = true}, {sizes}), with_key({.name = "key", .bias = true}, {more});
        for_pairs(with_key, [&](auto h, auto i, auto j) {
            with_key.bias(0, h, i, j) = j < sizes.keys ? 0 : with_sink.arguments.sinks[static_cast<std::size_t>(h)];
        });
        for (std::int64_t h = 0; h < with_key.shape.num_kv_heads; ++h) {
            std::fill_n(with_key.key(0, h, sizes.keys), with_key.shape.head_dim, 0.0f);
            std::fill_n(with_key.value(0, h, sizes.keys), with_key.shape.value_dim, 0.0f);
        }
        with_sink.run();
        with_key.run();
        check_within_rounding(with_sink, with_key);
    }
}

TEST_CASE("positions that are given as they would be anyway change no bit; all shifted alike turn queries and keys alike") {
    for (const SequenceSizes& sizes : kSizes)
        for (const std::int32_t shift : {0, 1000, -1300}) {
            std::vector<std::int32_t> queries, keys;
            for (std::int64_t i = 0; i < sizes.queries; ++i)
                queries.push_back(static_cast<std::int32_t>(i + sizes.keys - sizes.queries) + shift);
            for (std::int64_t j = 0; j < sizes.keys; ++j) keys.push_back(static_cast<std::int32_t>(j) + shift);
            const Pair pair({.name = "RoPE", .rope = true}, {.name = "RoPE at given positions", .rope = true}, sizes,
                            [&](VariantCall&, VariantCall& b) {
                                b.arguments.query_positions = {queries.data(), {1, sizes.queries}};
                                b.arguments.key_positions = {keys.data(), {1, sizes.keys}};
                            });
            if (shift == 0)
                pair.check_bits();
            else
                pair.check_rounding();
        }
}

}  // namespace
}  // namespace headwise::test
