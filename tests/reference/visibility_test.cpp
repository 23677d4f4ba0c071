#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "headwise/reference.hpp"

namespace headwise::test {
namespace {

using Table = std::vector<std::string>;
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

/// A row for each query of each head of each sequence, in it an x for each key that has weight, a dot for each that has none.
Table seen(const AttentionShape& s, const AttentionOptions& options = {}, const AttentionArguments& rules = {}) {
    const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
    const std::int64_t rows = s.batch * s.num_heads * s.query_length;
    // Keys of 0 weigh all the same.
    const std::vector<double> query(size(rows), 1), key(size(s.batch * s.key_length), 0);
    std::vector<double> weights(size(rows * s.key_length));
    reference::attention_weights<double>(bhsd(query.data(), s.batch, s.num_heads, s.query_length, 1),
                                         bhsd(key.data(), s.batch, 1, s.key_length, 1),
                                         bhsd(weights.data(), s.batch, s.num_heads, s.query_length, s.key_length), options, rules);
    Table table;
    for (std::int64_t i = 0; i < rows; ++i) {
        table.emplace_back();
        for (std::int64_t j = 0; j < s.key_length; ++j) table.back() += weights[size(i * s.key_length + j)] > 0 ? 'x' : '.';
    }
    return table;
}

Table seen(std::int64_t queries, std::int64_t keys, const AttentionOptions& options = {}, const AttentionArguments& rules = {}) {
    return seen({.query_length = queries, .key_length = keys}, options, rules);
}

TEST_CASE("causal") {
    CHECK(seen(2, 3) == Table{"xxx", "xxx"});
    CHECK(seen(2, 3, {.causal = Causal::top_left}) == Table{"x..", "xx."});
    CHECK(seen(2, 3, {.causal = Causal::bottom_right}) == Table{"xx.", "xxx"});
    CHECK(seen(4, 2, {.causal = Causal::top_left}) == Table{"x.", "xx", "xx", "xx"});
    CHECK(seen(4, 2, {.causal = Causal::bottom_right}) == Table{"..", "..", "x.", "xx"});
}

TEST_CASE("a window counts from the query's position") {
    // Positions 3 and 4.
    CHECK(seen(2, 5, {.window = {.left = 1}}) == Table{"..xxx", "...xx"});
    CHECK(seen(2, 5, {.window = {.right = 0}}) == Table{"xxxx.", "xxxxx"});
    CHECK(seen(2, 5, {.window = {1, 0}}) == Table{"..xx.", "...xx"});
    CHECK(seen(2, 5, {.window = {0, 0}}) == Table{"...x.", "....x"});
    CHECK(seen(2, 5, {.causal = Causal::bottom_right, .window = {2, 3}}) == Table{".xxx.", "..xxx"});
    // Positions 0 and 1.
    CHECK(seen(2, 5, {.alignment = Alignment::top_left, .window = {0, 1}}) == Table{"xx...", ".xx.."});
    CHECK(seen(2, 5, {.causal = Causal::top_left, .window = {0, 1}}) == Table{"x....", ".x..."});
    // Positions -2, -1, 0 and 1.
    CHECK(seen(4, 2, {.window = {.left = 0}}) == Table{"xx", "xx", "xx", ".x"});
    CHECK(seen(4, 2, {.window = {.right = 0}}) == Table{"..", "..", "x.", "xx"});
    CHECK(seen(4, 2, {.window = {.right = 1}}) == Table{"..", "x.", "xx", "xx"});
    // Positions 4, 5, ...: the window lies behind the last key.
    CHECK(seen(6, 3, {.alignment = Alignment::top_left, .window = {.left = 1}}) == Table{"xxx", "xxx", ".xx", "..x", "...", "..."});
}

TEST_CASE("alignment says the positions only where causal does not") {
    for (const Alignment alignment : {Alignment::top_left, Alignment::bottom_right}) {
        CHECK(seen(1, 3, {.causal = Causal::top_left, .alignment = alignment, .window = {.left = 0}}) == Table{"x.."});
        CHECK(seen(1, 3, {.causal = Causal::bottom_right, .alignment = alignment, .window = {.left = 0}}) == Table{"..x"});
    }
}

TEST_CASE("bounds of a window may be as large as their type") {
    for (const std::int64_t large : {kMost, kMost - 1}) {
        CHECK(seen(2, 3, {.window = {large, large}}) == Table{"xxx", "xxx"});
        CHECK(seen(4, 2, {.window = {large, large}}) == Table{"xx", "xx", "xx", "xx"});
        CHECK(seen(2, 3, {.causal = Causal::bottom_right, .window = {large, large}}) == Table{"xx.", "xxx"});
    }
}

TEST_CASE("a mask of bytes: each pair, and repeated along what has extent 1") {
    const std::vector<std::uint8_t> bytes = {1, 0, 1, 0, 0, 255, 0, 0, 0, 2, 1, 1};
    CHECK(seen(4, 3, {}, {.mask = {bytes.data(), {1, 1, 4, 3}}}) == Table{"x.x", "..x", "...", "xxx"});
    CHECK(seen({.batch = 2, .num_heads = 2, .query_length = 1, .key_length = 3}, {}, {.mask = {bytes.data(), {2, 2, 1, 3}}}) ==
          Table{"x.x", "..x", "...", "xxx"});
    CHECK(seen({.batch = 2, .num_heads = 2, .query_length = 2, .key_length = 3}, {}, {.mask = {bytes.data(), {1, 2, 1, 3}}}) ==
          Table{"x.x", "x.x", "..x", "..x", "x.x", "x.x", "..x", "..x"});
    // By strides of 0.
    CHECK(seen(2, 2, {}, {.mask = {bytes.data(), {1, 1, 2, 2}, {0, 0, 0, 2}}}) == Table{"xx", "xx"});
}

TEST_CASE("a mask of bits, the lowest first") {
    const std::vector<std::uint8_t> bits = {0b00000101, 0b11111110, 0b10000000, 0b11111101};
    CHECK(seen(2, 10, {}, {.mask_bits = {bits.data(), {1, 1, 2, 2}}}) == Table{"x.x......x", ".......xx."});
    CHECK(seen(2, 3, {}, {.mask_bits = {bits.data(), {1, 1, 2, 1}}}) == Table{"x.x", ".xx"});
}

TEST_CASE("a bias of -Inf hides, any other does not") {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    const std::vector<float> bias = {0, -kInf, 3, -kInf, -kInf, -kInf};
    CHECK(seen(2, 3, {}, {.bias = {bias.data(), {1, 1, 2, 3}}}) == Table{"x.x", "..."});
}

TEST_CASE("a mask of blocks") {
    const std::vector<std::uint8_t> visible = {1, 0, 1, 0, 1, 0};
    CHECK(seen(3, 5, {}, {.block_mask = {{visible.data(), {1, 1, 2, 3}}, 2, 2}}) == Table{"xx..x", "xx..x", "..xx."});
    CHECK(seen(3, 5, {}, {.block_mask = {{visible.data(), {1, 1, 1, 3}}, 2, 2}}) == Table{"xx..x", "xx..x", "xx..x"});
    CHECK(seen({.num_heads = 2, .query_length = 2, .key_length = 7}, {},
               {.block_mask = {{visible.data(), {1, 2, 1, 3}}, 128, 3}}) == Table{"xxx...x", "xxx...x", "...xxx.", "...xxx."});
}

TEST_CASE("a prefix is seen whatever causal says, within the window") {
    const std::vector<std::int32_t> two = {2}, many = {9}, of_each = {0, 3};
    const AttentionOptions causal{.causal = Causal::bottom_right};
    CHECK(seen(4, 4, causal, {.prefix_lengths = two}) == Table{"xx..", "xx..", "xxx.", "xxxx"});
    CHECK(seen(2, 4, causal, {.prefix_lengths = two}) == Table{"xxx.", "xxxx"});
    CHECK(seen(4, 2, causal, {.prefix_lengths = two}) == Table{"xx", "xx", "xx", "xx"});
    CHECK(seen(2, 3, causal, {.prefix_lengths = many}) == Table{"xxx", "xxx"});
    CHECK(seen(2, 3, {}, {.prefix_lengths = two}) == Table{"xxx", "xxx"});
    CHECK(seen({.batch = 2, .query_length = 3, .key_length = 3}, causal, {.prefix_lengths = of_each}) ==
          Table{"x..", "xx.", "xxx", "xxx", "xxx", "xxx"});
    const AttentionOptions left{.causal = Causal::bottom_right, .window = {.left = 1}};
    CHECK(seen(4, 4, left, {.prefix_lengths = two}) == Table{"xx..", "xx..", ".xx.", "..xx"});
    const AttentionOptions both{.causal = Causal::bottom_right, .window = {1, 0}};
    CHECK(seen(4, 4, both, {.prefix_lengths = many}) == Table{"x...", "xx..", ".xx.", "..xx"});
}

TEST_CASE("a tree: what comes before it, ancestors and the node itself") {
    // 0 has the children 1 and 2, 1 has 3; 4 is a root of its own.
    const std::vector<std::int32_t> parents = {-1, 0, 0, 1, -1};
    CHECK(seen(5, 7, {}, {.tree_parents = {parents.data(), {1, 5}}}) ==
          Table{"xxx....", "xxxx...", "xxx.x..", "xxxx.x.", "xx....x"});
    CHECK(seen(2, 2, {}, {.tree_parents = {parents.data(), {1, 5}}}) == Table{"x.", "xx"});

    const std::vector<std::int32_t> of_each = {-1, 0, 1, -1, -1, -1};  // a chain, and roots alone
    CHECK(seen({.batch = 2, .query_length = 3, .key_length = 4}, {}, {.tree_parents = {of_each.data(), {2, 3}}}) ==
          Table{"xx..", "xxx.", "xxxx", "xx..", "x.x.", "x..x"});
}

TEST_CASE("rules compose: a pair is seen where each of them alone lets it be seen") {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    constexpr std::int64_t kQueries = 5, kKeys = 8;
    std::vector<std::uint8_t> bytes, bits;
    std::vector<float> bias_values;
    for (int n = 0; n < kQueries * kKeys; ++n) {
        bytes.push_back(n % 7 != 0);
        bias_values.push_back(n % 5 == 1 ? -kInf : 0);
    }
    for (int i = 0; i < kQueries; ++i) bits.push_back(static_cast<std::uint8_t>(0xf7 + i));
    const std::vector<std::uint8_t> blocks = {1, 1, 1, 0, 1, 1};
    const std::vector<std::int32_t> parents = {-1, 0, 1, 1, 3};
    const TensorView<const std::uint8_t, 4> mask(bytes.data(), {1, 1, kQueries, kKeys}),
        mask_bits(bits.data(), {1, 1, kQueries, 1});
    const TensorView<const float, 4> bias(bias_values.data(), {1, 1, kQueries, kKeys});
    const BlockMask block_mask{{blocks.data(), {1, 1, 3, 2}}, 2, 4};
    const TensorView<const std::int32_t, 2> tree_parents(parents.data(), {1, kQueries});
    const AttentionOptions window{.window = {.left = 5}}, causal{.causal = Causal::bottom_right};

    const Table each[] = {seen(kQueries, kKeys, window),
                          seen(kQueries, kKeys, causal),
                          seen(kQueries, kKeys, {}, {.bias = bias}),
                          seen(kQueries, kKeys, {}, {.mask = mask}),
                          seen(kQueries, kKeys, {}, {.mask_bits = mask_bits}),
                          seen(kQueries, kKeys, {}, {.block_mask = block_mask}),
                          seen(kQueries, kKeys, {}, {.tree_parents = tree_parents})};
    Table expected(kQueries, std::string(kKeys, 'x'));
    for (const Table& table : each)
        for (std::size_t i = 0; i < kQueries; ++i)
            for (std::size_t j = 0; j < kKeys; ++j)
                if (table[i][j] == '.') expected[i][j] = '.';
    CHECK(seen(kQueries, kKeys, {.causal = Causal::bottom_right, .window = {.left = 5}},
               {.bias = bias, .mask = mask, .mask_bits = mask_bits, .block_mask = block_mask, .tree_parents = tree_parents}) ==
          expected);
}

}  // namespace
}  // namespace headwise::test
