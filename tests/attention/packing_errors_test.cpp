// Mistakes about sequences that lie one behind the other or in pages, and results that lie on what is read.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <string>
#include <vector>

#include "tests/attention/mistakes.hpp"
#include "tests/support/error_message.hpp"

namespace headwise::test {
namespace {

const std::vector<SequenceSizes> kSequences = {{3, 5, 1}, {2, 4, 2}};
const std::vector<SequenceSizes> kOne = {{3, 5, 1}};

std::span<const std::int64_t> wide(std::initializer_list<std::int64_t> numbers) {
    static std::deque<std::vector<std::int64_t>> all;
    return all.emplace_back(numbers);
}

TEST_CASE("ways to give lengths that exclude each other, or that miss another") {
    const auto ragged = [](const char* what) { return std::vector<std::string>{what, "are both given", "expected one of them"}; };
    check_mistakes(
        kSequences, {.packing = Packing::ragged},
        std::vector<Mistake>{
            {[](auto& c) { c.arguments.query_lengths = integers({3, 2}); }, ragged("query_lengths and cumulative_query_lengths")},
            {[](auto& c) { c.arguments.key_lengths = integers({5, 4}); }, ragged("key_lengths and cumulative_key_lengths")},
        });
    check_mistakes(kOne, {.packing = Packing::ragged},
                   std::vector<Mistake>{
                       {[](auto& c) { c.arguments.cumulative_key_lengths = {}; },
                        {"cumulative_key_lengths is empty", "packed queries need packed keys"}},
                       {[](auto& c) { c.arguments.cumulative_query_lengths = {}; },
                        {"cumulative_query_lengths is empty", "packed keys need packed queries"}},
                   });
    const Mistake without_lengths{[](auto& c) { c.arguments.key_lengths = {}; }, {"key_lengths is empty", "page_table"}};
    for (const Packing packing : {Packing::paged, Packing::ragged_paged})
        check_mistakes(kSequences, {.packing = packing}, {&without_lengths, 1});
}

TEST_CASE("sums of lengths, of either width") {
    check_mistakes(
        kSequences, {.packing = Packing::ragged},
        std::vector<Mistake>{
            {[](auto& c) { c.arguments.cumulative_query_lengths = integers({0, 5}); },
             {"cumulative_query_lengths.size() is 2", "expected 3"}},
            {[](auto& c) { c.arguments.cumulative_query_lengths = integers({1, 3, 5}); },
             {"cumulative_query_lengths[0] is 1", "begin with 0"}},
            {[](auto& c) { c.arguments.cumulative_query_lengths = integers({0, 4, 5}); },
             {"cumulative_query_lengths[1] is 4", "at most 3 tokens", "as planned"}},
            {[](auto& c) { c.arguments.cumulative_query_lengths = integers({0, 3, 2}); },
             {"cumulative_query_lengths[2] is 2", "cumulative_query_lengths[1] is 3", "must not fall"}},
            {[](auto& c) { c.arguments.cumulative_query_lengths = wide({0, -1, 5}); },
             {"cumulative_query_lengths[1] is -1", "must not fall"}},
            {[](auto& c) { c.arguments.cumulative_query_lengths = wide({0, 3, 4}); },
             {"cumulative_query_lengths[2] is 4", "query.extent[2] is 5", "end with the total"}},
            {[](auto& c) { c.arguments.cumulative_key_lengths = integers({0, 5, 9, 9}); },
             {"cumulative_key_lengths.size() is 4", "expected 3"}},
            {[](auto& c) { c.arguments.cumulative_key_lengths = wide({-2, 5, 9}); },
             {"cumulative_key_lengths[0] is -2", "begin with 0"}},
            {[](auto& c) { c.arguments.cumulative_key_lengths = wide({0, 7, 6}); },
             {"cumulative_key_lengths[2] is 6", "cumulative_key_lengths[1] is 7", "must not fall"}},
            {[](auto& c) { c.arguments.cumulative_key_lengths = wide({0, (std::int64_t{1} << 40) + 1, std::int64_t{1} << 41}); },
             {"cumulative_key_lengths[1] is 1099511627777", "key.extent[2] is 9", "end with the total"}},
            {[](auto& c) { c.arguments.cumulative_key_lengths = integers({0, 5, 8}); },
             {"cumulative_key_lengths[2] is 8", "key.extent[2] is 9", "end with the total"}},
        });
}

TEST_CASE("where positions start") {
    for (const Packing packing : {Packing::padded, Packing::ragged, Packing::paged})
        check_mistakes(kSequences, {.packing = packing},
                       std::vector<Mistake>{
                           {[](auto& c) { c.arguments.first_query_positions = wide({7}); },
                            {"first_query_positions.size() is 1", "expected 2", "one for each sequence"}},
                           {[](auto& c) { c.arguments.first_key_positions = wide({0, 1, 2}); },
                            {"first_key_positions.size() is 3", "expected 2", "one for each sequence"}},
                           {[](auto& c) { c.arguments.first_query_positions = wide({0, (std::int64_t{1} << 40) + 1}); },
                            {"first_query_positions[1] is 1099511627777", "expected -1099511627776 to 1099511627776"}},
                           {[](auto& c) { c.arguments.first_key_positions = wide({std::numeric_limits<std::int64_t>::min(), 0}); },
                            {"first_key_positions[0] is -9223372036854775808", "expected -1099511627776 to"}},
                       });
}

TEST_CASE("without a plan, sums whose differences exceed 64 bits are named as well") {
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max(), kLeast = std::numeric_limits<std::int64_t>::min();
    VariantCall call(all_variants().back(), kSequences, {.packing = Packing::ragged});
    for (const auto& sums : {wide({0, kMost, kLeast}), wide({kLeast, 3, kMost}), wide({-2, kMost, 5})}) {
        call.arguments.cumulative_query_lengths = sums;
        CHECK(message_of([&] { attention(call.arguments, call.options); }).find("cumulative_query_lengths[") == 0);
    }
}

TEST_CASE("tensors of sequences that lie one behind the other") {
    check_mistakes(
        kSequences, {.packing = Packing::ragged},
        std::vector<Mistake>{
            {[](auto& c) { c.arguments.query.extent[0] = 2; }, {"query.extent[0] is 2", "expected 1", "one after another"}},
            {[](auto& c) { c.arguments.key.extent[0] = 2; }, {"key.extent[0] is 2", "expected 1", "one after another"}},
            {[](auto& c) { c.arguments.value.extent[0] = 2; }, {"value.extent[0] is 2", "expected 1", "one after another"}},
            {[](auto& c) { c.arguments.out.extent[0] = 2; }, {"out.extent[0] is 2", "expected 1", "one after another"}},
            {[](auto& c) { c.arguments.out.extent[2] = 4; }, {"out.extent[2] is 4", "expected 5", "the length of query"}},
            {[](auto& c) { c.arguments.bias.extent[2] = 2; }, {"bias.extent[2] is 2", "expected 1 or at least 3"}},
            {[](auto& c) { c.arguments.mask.extent[3] = 4; }, {"mask.extent[3] is 4", "expected at least 5"}},
            {[](auto& c) { c.arguments.tree_parents.extent[1] = 2; }, {"tree_parents.extent[1] is 2", "expected at least 3"}},
            {[](auto& c) { c.arguments.query_positions.extent[0] = 2; }, {"query_positions.extent[0] is 2", "expected 1 or 1"}},
            {[](auto& c) { c.arguments.query_positions.extent[1] = 4; }, {"query_positions.extent[1] is 4", "at least 5"}},
            {[](auto& c) { c.arguments.key_positions.extent[1] = 8; }, {"key_positions.extent[1] is 8", "at least 9"}},
        });
}

TEST_CASE("pages") {
    check_mistakes(
        kSequences, {.packing = Packing::paged, .page_size = 2},
        std::vector<Mistake>{
            {[](auto& c) { c.arguments.page_table.extent[0] = 1; }, {"page_table.extent[0] is 1", "expected 2", "batch"}},
            {[](auto& c) { c.arguments.page_table.stride[1] = 2; }, {"page_table.stride[1] is 2", "stride 1"}},
            {[](auto& c) { c.arguments.page_table.stride[0] = std::int64_t{1} << 60; }, {"page_table.stride[0] is ", "64 bits"}},
            {[](auto& c) { c.arguments.page_table.extent[1] = 2; },
             {"key_lengths[0] is 5", "in 3 pages of 2", "page_table.extent[1] is 2"}},
            {[](auto& c) { c.arguments.page_table = {integers({2, 3, 4, 5, -1, 0}).data(), {2, 3}}; },
             {"page_table[1, 1] is -1", "expected a page", "0 to 8"}},
            {[](auto& c) { c.arguments.page_table = {integers({2, 9, 4, 5, 6, 0}).data(), {2, 3}}; },
             {"page_table[0, 1] is 9", "expected a page", "0 to 8"}},
            {[](auto& c) { c.arguments.key.extent[2] = c.arguments.value.extent[2] = 0; },
             {"key.extent[2] is 0", "the number of keys in a page"}},
            {[](auto& c) { c.arguments.value.extent[0] = 8; }, {"value.extent[0] is 8", "expected 9", "the pages of key"}},
            {[](auto& c) { c.arguments.key_lengths = integers({5, -1}); }, {"key_lengths[1] is -1", "expected 0 to"}},
            {[](auto& c) { c.arguments.key_lengths = integers({5, 4, 3}); }, {"key_lengths.size() is 3", "expected 2"}},
            {[](auto& c) { c.arguments.key_positions.extent[1] = 4; }, {"key_positions.extent[1] is 4", "at least 5"}},
            {[](auto& c) { c.arguments.bias.extent[3] = 4; }, {"bias.extent[3] is 4", "expected at least 5"}},
        });
}

// ---- Overlaps

/// Arguments that are made to lie at `memory`, which holds zeros for as long as they may be.
struct Overlap {
    const char* name;
    Packing packing;
    void (*place)(AttentionArguments&, float* memory);
};

template <class T>
T* as(float* memory) {
    return reinterpret_cast<T*>(memory);
}
std::span<const std::int32_t> two_lengths(float* memory) {
    return {as<std::int32_t>(memory), 2};
}

const Overlap kOverlaps[] = {
    {"scales", Packing::padded, [](auto& a, float* m) { a.scales = {m, 4}; }},
    {"alibi_slopes", Packing::padded, [](auto& a, float* m) { a.alibi_slopes = {m, 4}; }},
    {"sinks", Packing::padded, [](auto& a, float* m) { a.sinks = {m, 4}; }},
    {"bias", Packing::padded, [](auto& a, float* m) { a.bias = {m, {1, 1, 1, 5}}; }},
    {"mask", Packing::padded, [](auto& a, float* m) { a.mask = {as<std::uint8_t>(m) + 3, {1, 1, 1, 5}}; }},
    {"mask_bits", Packing::padded, [](auto& a, float* m) { a.mask_bits = {as<std::uint8_t>(m) + 3, {1, 1, 1, 1}}; }},
    {"block_mask.visible", Packing::padded, [](auto& a, float* m) { a.block_mask.visible = {as<std::uint8_t>(m), {1, 1, 1, 1}}; }},
    {"tree_parents", Packing::padded, [](auto& a, float* m) { a.tree_parents = {as<std::int32_t>(m), {1, 3}}; }},
    {"query_positions", Packing::padded, [](auto& a, float* m) { a.query_positions = {as<std::int32_t>(m), {1, 3}}; }},
    {"key_positions", Packing::padded, [](auto& a, float* m) { a.key_positions = {as<std::int32_t>(m), {1, 5}}; }},
    {"query_lengths", Packing::padded, [](auto& a, float* m) { a.query_lengths = two_lengths(m); }},
    {"key_lengths", Packing::padded, [](auto& a, float* m) { a.key_lengths = two_lengths(m), a.tree_parents = {}; }},
    {"prefix_lengths", Packing::padded, [](auto& a, float* m) { a.prefix_lengths = two_lengths(m); }},
    {"first_query_positions", Packing::padded, [](auto& a, float* m) { a.first_query_positions = {as<std::int64_t>(m), 2}; }},
    {"first_key_positions", Packing::padded, [](auto& a, float* m) { a.first_key_positions = {as<std::int64_t>(m), 2}; }},
    {"page_table", Packing::paged, [](auto& a, float* m) { a.page_table = {as<std::int32_t>(m), {2, 1}}; }},
};

TEST_CASE("out and log_sum_exp must not lie on anything that is read") {
    for (const Overlap& overlap : kOverlaps) {
        const std::string name = overlap.name;
        const auto lie_on = [&](VariantCall& c, float* memory) {
            std::fill_n(memory, 8, 0.0f);
            overlap.place(c.arguments, memory);
        };
        const Mistake mistakes[] = {
            {[&](auto& c) { lie_on(c, c.arguments.out.data); }, {"out overlaps " + name, "must not be read"}},
            {[&](auto& c) { lie_on(c, c.arguments.log_sum_exp.data); }, {"log_sum_exp overlaps " + name, "must not be read"}}};
        check_mistakes(kSequences, {.packing = overlap.packing}, mistakes);
    }
}

TEST_CASE("log_sum_exp must not lie on out, nor on query, key or value") {
    const auto on = [](auto which, const char* message) {
        return Mistake{[=](VariantCall& c) { c.arguments.log_sum_exp.data = const_cast<float*>(which(c.arguments)); },
                       {message, "must not be read"}};
    };
    const Mistake mistakes[] = {
        on([](auto& a) { return a.out.data + 5; }, "out overlaps log_sum_exp"),
        on([](auto& a) { return a.query.data; }, "log_sum_exp overlaps query"),
        on([](auto& a) { return a.key.data + 1; }, "log_sum_exp overlaps key"),
        on([](auto& a) { return a.value.data; }, "log_sum_exp overlaps value"),
    };
    for (const Packing packing : {Packing::padded, Packing::ragged, Packing::paged})
        check_mistakes(kSequences, {.packing = packing}, mistakes);
}

TEST_CASE("what ends where out begins does not overlap it") {
    VariantCall call({.name = "sinks", .sinks = true}, kSequences, {.packing = Packing::padded});
    const auto size = static_cast<std::size_t>(2 * 4 * 3 * 12);
    std::vector<float> memory(4 + size + 24);
    call.arguments.sinks = std::span<const float>(memory).first(4);
    call.arguments.out.data = memory.data() + 4;
    call.arguments.log_sum_exp.data = memory.data() + 4 + size;
    CHECK(message_of([&] { call.run(); }) == kNoError);
}

}  // namespace
}  // namespace headwise::test
