// Every mistake in what a call asks for is named: the argument, the value that it had, what was expected; and nothing is written.
#include <doctest/doctest.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tests/attention/mistakes.hpp"
#include "tests/support/error_message.hpp"

namespace headwise::test {
namespace {

constexpr std::int64_t kHuge = std::int64_t{1} << 60;

// 4 heads of 2, head_dim 20, value_dim 12; query_length 3, key_length 5.
const std::vector<SequenceSizes> kSequences = {{3, 5, 1}, {2, 4, 2}};
constexpr Placing kPadded{.packing = Packing::padded};

TEST_CASE("options that no plan can be made for") {
    const RopeTable table({.dims = 10}, 4);
    const auto message = [](const AttentionOptions& options) {
        return message_of([&] { AttentionPlan plan({.query_length = 3, .key_length = 5, .head_dim = 8}, options); });
    };
    check_message(message({.softcap = -1}), {"options.softcap is -1", "expected 0 (none) or more", "2e38"});
    check_message(message({.softcap = kNan}), {"options.softcap is ", "nan", "expected 0"});
    check_message(message({.softcap = kInfinity}), {"options.softcap is inf", "below 2e38"});
    check_message(message({.softcap = 2e38f}), {"options.softcap is 2e+38", "below 2e38"});
    check_message(message({.window = {.left = -2}}), {"options.window.left is -2", "expected -1 (no bound) or more"});
    check_message(message({.window = {.right = -9}}), {"options.window.right is -9", "expected -1 (no bound) or more"});
    check_message(message({.alignment = static_cast<Alignment>(5)}), {"options.alignment is 5", "not a value of Alignment"});
    check_message(message({.rope = &table}), {"options.rope rotates 10 dims", "shape.head_dim is 8", "at most"});
    CHECK(message({.window = {-1, -1}, .softcap = 1.9e38f}) == kNoError);
}

TEST_CASE("lengths of padded sequences") {
    check_mistakes(
        kSequences, kPadded,
        std::vector<Mistake>{
            {[](auto& c) { c.arguments.query_lengths = integers({3, 2, 1}); },
             {"query_lengths.size() is 3", "expected 2", "batch"}},
            {[](auto& c) { c.arguments.query_lengths = integers({3, -1}); }, {"query_lengths[1] is -1", "expected 0 to 3"}},
            {[](auto& c) { c.arguments.query_lengths = integers({4, 2}); }, {"query_lengths[0] is 4", "expected 0 to 3"}},
            {[](auto& c) { c.arguments.key_lengths = integers({5}); }, {"key_lengths.size() is 1", "expected 2", "batch"}},
            {[](auto& c) { c.arguments.key_lengths = integers({5, 6}); }, {"key_lengths[1] is 6", "expected 0 to 5", "keys"}},
            {[](auto& c) { c.arguments.key_lengths = integers({-3, 5}); }, {"key_lengths[0] is -3", "expected 0 to 5"}},
            {[](auto& c) { c.arguments.prefix_lengths = integers({1, 2, 3}); }, {"prefix_lengths.size() is 3", "expected 2"}},
            {[](auto& c) { c.arguments.prefix_lengths = integers({0, -1}); }, {"prefix_lengths[1] is -1", "expected 0 to"}},
            {[](auto& c) { c.arguments.key.extent[2] = c.arguments.value.extent[2] = (std::int64_t{1} << 40) + 1; },
             {"key.extent[2] is 1099511627777", "expected 0 to 1099511627776"}},
        });
}

TEST_CASE("numbers for each head") {
    static const std::vector<float> three(3), with_nan{0, kNan, 0, 0}, with_infinity{0, 0, -kInfinity, 0}, large{0, 0, 0, 3e38f};
    check_mistakes(
        kSequences, kPadded,
        std::vector<Mistake>{
            {[](auto& c) { c.arguments.scales = three; }, {"scales.size() is 3", "expected 4", "query head"}},
            {[](auto& c) { c.arguments.scales = with_nan; }, {"scales[1] is ", "nan", "finite"}},
            {[](auto& c) { c.arguments.scales = with_infinity; }, {"scales[2] is -inf", "finite"}},
            {[](auto& c) { c.arguments.scales = large; }, {"scales[3] is 3", "2e38"}},
            {[](auto& c) { c.arguments.alibi_slopes = three; }, {"alibi_slopes.size() is 3", "expected 4", "query head"}},
            {[](auto& c) { c.arguments.sinks = three; }, {"sinks.size() is 3", "expected 4", "query head"}},
        });
}

/// Extents and strides of bias or one of the masks, of which the last two extents should be `queries` and `keys`.
template <class View>
std::vector<Mistake> pair_mistakes(const std::string& name, std::int64_t queries, std::int64_t keys, View view) {
    const auto extent = [&](std::size_t axis, std::int64_t wrong, const std::string& expected, const char* meaning) -> Mistake {
        const std::string index = "[" + std::to_string(axis) + "]";
        return {[=](VariantCall& c) { view(c).extent[axis] = wrong; },
                {name + ".extent" + index + " is " + std::to_string(wrong), "expected " + expected, meaning}};
    };
    return {extent(0, 3, "1 or 2", "batch"),
            extent(0, 0, "1 or 2", "batch"),
            extent(1, 2, "1 or 4", "query heads"),
            extent(2, queries + 1, "1 or " + std::to_string(queries), "queries"),
            extent(2, -1, "1 or " + std::to_string(queries), "queries"),
            extent(3, keys + 1, std::to_string(keys), "keys"),
            extent(3, keys - 1, std::to_string(keys), "keys"),
            {[=](VariantCall& c) { view(c).stride[1] = kHuge; }, {name + ".extent[1] is 4", name + ".stride[1] is ", "64 bits"}}};
}

TEST_CASE("bias and masks that do not fit the queries and keys") {
    const auto bias = [](VariantCall& c) -> auto& { return c.arguments.bias; };
    const auto mask = [](VariantCall& c) -> auto& { return c.arguments.mask; };
    const auto bits = [](VariantCall& c) -> auto& { return c.arguments.mask_bits; };
    const auto blocks = [](VariantCall& c) -> auto& { return c.arguments.block_mask.visible; };
    check_mistakes(kSequences, kPadded, pair_mistakes("bias", 3, 5, bias));
    check_mistakes(kSequences, kPadded, pair_mistakes("mask", 3, 5, mask));
    const std::vector<SequenceSizes> longer = {{8, 20, 1}, {7, 9, 2}};  // 3 bytes of bits; 2 x 3 blocks of 5 queries and 7 keys
    check_mistakes(longer, kPadded, pair_mistakes("mask_bits", 8, 3, bits));
    check_mistakes(longer, kPadded, pair_mistakes("block_mask.visible", 2, 3, blocks));
    check_mistakes(longer, kPadded,
                   std::vector<Mistake>{
                       {[=](auto& c) { bias(c).stride[3] = 2; }, {"bias.stride[3] is 2", "stride 1"}},
                       {[=](auto& c) { mask(c).stride[3] = 0; }, {"mask.stride[3] is 0", "stride 1"}},
                       {[=](auto& c) { bits(c).stride[3] = -1; }, {"mask_bits.stride[3] is -1", "stride 1"}},
                       {[=](auto& c) { blocks(c).stride[3] = 4; }, {"block_mask.visible.stride[3] is 4", "stride 1"}},
                       {[](auto& c) { c.arguments.block_mask.query_block = 0; }, {"block_mask.query_block is 0", "expected 1 to"}},
                       {[](auto& c) { c.arguments.block_mask.key_block = -7; }, {"block_mask.key_block is -7", "expected 1 to"}},
                       {[](auto& c) { c.arguments.block_mask.key_block = kHuge; }, {"block_mask.key_block is 1152921504606846976"}},
                   });
}

TEST_CASE("trees") {
    check_mistakes(
        kSequences, kPadded,
        std::vector<Mistake>{
            {[](auto& c) { c.arguments.tree_parents.extent[0] = 3; }, {"tree_parents.extent[0] is 3", "expected 1 or 2", "batch"}},
            {[](auto& c) { c.arguments.tree_parents.extent[1] = 2; }, {"tree_parents.extent[1] is 2", "expected at least 3"}},
            {[](auto& c) { c.arguments.tree_parents.stride[1] = 2; }, {"tree_parents.stride[1] is 2", "stride 1"}},
            {[](auto& c) { c.arguments.tree_parents.stride[0] = kHuge; }, {"tree_parents.stride[0] is ", "64 bits"}},
            {[](auto& c) { c.arguments.tree_parents = {integers({-1, 1, 0}).data(), {1, 3}}; },
             {"tree_parents[0, 1] is 1", "expected -1 or an earlier query"}},
            {[](auto& c) { c.arguments.tree_parents = {integers({-1, 0, 1, -1, -2, 0}).data(), {2, 3}}; },
             {"tree_parents[1, 1] is -2", "expected -1 or an earlier query"}},
            {[](auto& c) { c.arguments.key_lengths = integers({5, 1}); },
             {"tree_parents", "sequence 1 has 1 keys", "expected at least 2"}},
        });
}

TEST_CASE("positions and tables of RoPE") {
    static const RopeTable four({.dims = 4}, 4), three({.dims = 4}, 3);
    const auto by_default = [](VariantCall& c) { c.arguments.query_positions = c.arguments.key_positions = {}; };
    const auto turn_lengths = [=](VariantCall& c, Alignment alignment, std::initializer_list<std::int32_t> keys,
                                  std::initializer_list<std::int32_t> queries) {
        by_default(c);
        c.arguments.tree_parents = {};
        c.arguments.key_lengths = integers(keys);
        c.arguments.query_lengths = integers(queries);
        c.options = {.alignment = alignment, .rope = &three};
    };
    check_mistakes(
        {{3, 5, 1}, {4, 4, 2}}, kPadded,
        std::vector<Mistake>{
            {[](auto& c) { c.options.rope = nullptr; }, {"options.rope is null", "query_positions", "key_positions"}},
            {[](auto& c) { c.arguments.query_positions.extent[0] = 4; }, {"query_positions.extent[0] is 4", "expected 1 or 2"}},
            {[](auto& c) { c.arguments.query_positions.extent[1] = 2; }, {"query_positions.extent[1] is 2", "expected at least 4"}},
            {[](auto& c) { c.arguments.query_positions.stride[1] = 3; }, {"query_positions.stride[1] is 3", "stride 1"}},
            {[](auto& c) { c.arguments.query_positions = {integers({0, 5000, 0, 0}).data(), {1, 4}}; },
             {"query_positions[0, 1] is 5000", "options.rope has 5000 positions"}},
            {[](auto& c) { c.arguments.query_positions = {integers({0, 1, -5000, 0}).data(), {1, 4}}; },
             {"query_positions[0, 2] is -5000", "options.rope has 5000 positions"}},
            {[](auto& c) { c.arguments.key_positions.extent[0] = 3; }, {"key_positions.extent[0] is 3", "expected 1 or 2"}},
            {[](auto& c) { c.arguments.key_positions.extent[1] = 4; }, {"key_positions.extent[1] is 4", "expected at least 5"}},
            {[](auto& c) { c.arguments.key_positions.stride[1] = 0; }, {"key_positions.stride[1] is 0", "stride 1"}},
            {[](auto& c) { c.arguments.key_positions = {integers({0, 1, 2, 3, 7777}).data(), {1, 5}}; },
             {"key_positions[0, 4] is 7777", "options.rope has 5000 positions"}},
            {[=](auto& c) { by_default(c), c.options.rope = &four; }, {"options.rope has 4 positions", "sequence 0 goes up to 4"}},
            {[=](auto& c) { turn_lengths(c, Alignment::top_left, {0, 4}, {3, 0}); },
             {"options.rope has 3 positions", "sequence 1 goes up to 3"}},
            {[=](auto& c) { turn_lengths(c, Alignment::bottom_right, {3, 0}, {3, 3}); },
             {"options.rope has 3 positions", "sequence 1 goes up to 3"}},
            {[=](auto& c) { turn_lengths(c, Alignment::top_left, {1, 1}, {3, 4}); },
             {"options.rope has 3 positions", "sequence 1 goes up to 3"}},
        });
}

TEST_CASE("log_sum_exp that does not fit out, or steps on itself") {
    check_mistakes(
        kSequences, kPadded,
        std::vector<Mistake>{
            {[](auto& c) { c.arguments.log_sum_exp.extent[0] = 1; }, {"log_sum_exp.extent[0] is 1", "expected 2", "batch"}},
            {[](auto& c) { c.arguments.log_sum_exp.extent[1] = 5; }, {"log_sum_exp.extent[1] is 5", "expected 4", "heads"}},
            {[](auto& c) { c.arguments.log_sum_exp.extent[2] = 4; }, {"log_sum_exp.extent[2] is 4", "expected 3", "length"}},
            {[](auto& c) { c.arguments.log_sum_exp.stride[1] = 0; }, {"log_sum_exp.stride[1] is 0", "must not overlap"}},
            {[](auto& c) { c.arguments.log_sum_exp.stride[1] = 2; }, {"log_sum_exp.stride[1] is 2", "at least 3"}},
            {[](auto& c) { c.arguments.log_sum_exp.stride[2] = kHuge; }, {"log_sum_exp.stride[2] is ", "64 bits"}},
        });
}

TEST_CASE("explain() refuses lengths as run() does") {
    VariantCall call(all_variants().back(), kSequences, kPadded);
    call.arguments.key_lengths = integers({5, 6});
    check_error([&] { static_cast<void>(AttentionPlan(call.shape, call.options).explain(call.arguments)); },
                {"key_lengths[1] is 6", "expected 0 to 5"});
}

TEST_CASE("the one-shot function refuses what a plan refuses") {
    for (const Packing packing : {Packing::padded, Packing::ragged, Packing::paged}) {
        VariantCall call(all_variants().back(), kSequences, {.packing = packing});
        CHECK(message_of([&] { attention(call.arguments, call.options); }) == kNoError);
        std::fill_n(call.arguments.out.data, 4, 17.0f);
        call.arguments.sinks = call.arguments.sinks.first(2);
        check_error([&] { attention(call.arguments, call.options); }, {"sinks.size() is 2", "expected 4"});
        CHECK(call.arguments.out.data[0] == 17);
        call.options.softcap = -1;
        check_error([&] { attention(call.arguments, call.options); }, {"options.softcap is -1"});
    }
}

}  // namespace
}  // namespace headwise::test
