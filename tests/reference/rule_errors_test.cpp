#include <doctest/doctest.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "headwise/error.hpp"
#include "headwise/reference.hpp"
#include "headwise/rope.hpp"
#include "tests/support/error_message.hpp"

namespace headwise::test {
namespace {

/// A call with two sequences of up to three queries and five keys, four heads on two; packed or paged if so asked.
struct Call {
    std::vector<double> memory = std::vector<double>(1000);
    TensorView<double, 4> query{memory.data(), {2, 4, 3, 2}}, key{memory.data() + 100, {2, 2, 5, 2}},
        value{memory.data() + 200, {2, 2, 5, 1}}, out{memory.data() + 300, {2, 4, 3, 1}};
    TensorView<double, 3> log_sum_exp{memory.data() + 400, {2, 4, 3}};
    std::vector<std::int32_t> query_sums = {0, 1, 3}, key_sums = {0, 3, 5}, lengths = {3, 5}, pages = {1, 0, 0, 1, 1, 2},
                              tokens = std::vector<std::int32_t>(30, -1);
    std::vector<float> floats = std::vector<float>(200, 1);
    std::vector<std::uint8_t> bytes = std::vector<std::uint8_t>(200, 1);
    RopeTable rope{{.dims = 2}, 8};
    AttentionOptions options{};
    AttentionArguments rules{};

    void run() const { reference::attention<double>(query, key, value, out, options, rules, log_sum_exp); }

    void pack() {
        query.extent[0] = out.extent[0] = log_sum_exp.extent[0] = key.extent[0] = value.extent[0] = 1;
        rules.cumulative_query_lengths = std::span<const std::int32_t>(query_sums);
        rules.cumulative_key_lengths = std::span<const std::int32_t>(key_sums);
    }
    void page() {  // three pages of two
        key = {memory.data() + 100, {3, 2, 2, 2}};
        value = {memory.data() + 200, {3, 2, 2, 1}};
        rules.key_lengths = lengths;
        rules.page_table = {pages.data(), {2, 3}};
    }
    template <class T>
    static std::span<const T> first(const std::vector<T>& of, std::size_t count) {
        return {of.data(), count};
    }
};

struct Mistake {
    std::function<void(Call&)> make;
    std::vector<std::string> parts;
};

void check_mistakes(const std::vector<Mistake>& mistakes) {
    for (const Mistake& mistake : mistakes) {
        Call call;
        mistake.make(call);
        check_error([&] { call.run(); }, mistake.parts);
    }
}

TEST_CASE("the calls without a mistake") {
    for (const std::function<void(Call&)>& change :
         std::vector<std::function<void(Call&)>>{[](Call&) {}, [](Call& c) { c.pack(); }, [](Call& c) { c.page(); },
                                                 [](Call& c) {
                                                     c.pack();
                                                     c.rules.cumulative_key_lengths = {};
                                                     c.page();
                                                 }}) {
        Call call;
        change(call);
        CHECK(message_of([&] { call.run(); }) == kNoError);
    }
}

TEST_CASE("options") {
    check_mistakes({
        {[](Call& c) { c.options.window.left = -2; }, {"options.window.left is -2", "-1 (no bound)"}},
        {[](Call& c) { c.options.window.right = -7; }, {"options.window.right is -7"}},
        {[](Call& c) { c.options.softcap = -1; }, {"options.softcap is -1", "0 (none)"}},
        {[](Call& c) { c.options.softcap = std::numeric_limits<float>::quiet_NaN(); }, {"options.softcap is nan"}},
        {[](Call& c) { c.options.softcap = std::numeric_limits<float>::infinity(); }, {"options.softcap is inf"}},
        {[](Call& c) { c.options.alignment = static_cast<Alignment>(5); }, {"options.alignment is 5"}},
    });
}

TEST_CASE("lengths") {
    check_mistakes({
        {[](Call& c) { c.rules.query_lengths = Call::first(c.lengths, 1); }, {"query_lengths.size() is 1", "expected 2"}},
        {[](Call& c) { c.rules.query_lengths = c.lengths; }, {"query_lengths[1] is 5", "0 to 3"}},
        {[](Call& c) { c.rules.key_lengths = Call::first(c.tokens, 2); }, {"key_lengths[0] is -1", "0 to 5"}},
        {[](Call& c) { c.rules.key_lengths = Call::first(c.tokens, 3); }, {"key_lengths.size() is 3", "expected 2"}},
    });
}

TEST_CASE("packed sequences") {
    const auto packed = [](const std::function<void(Call&)>& change) {
        return [change](Call& c) {
            c.pack();
            change(c);
        };
    };
    check_mistakes({
        {packed([](Call& c) { c.query_sums[0] = 1; }), {"cumulative_query_lengths[0] is 1", "begin with 0"}},
        {packed([](Call& c) { c.query_sums[2] = 4; }), {"cumulative_query_lengths[2] is 4", "query.extent[2] is 3"}},
        {packed([](Call& c) { c.key_sums[2] = 2; }), {"cumulative_key_lengths[2] is 2", "must not fall"}},
        {packed([](Call& c) { c.rules.cumulative_key_lengths = Call::first(c.key_sums, 2); }),
         {"cumulative_key_lengths.size() is 2", "expected 3"}},
        {packed([](Call& c) { c.rules.cumulative_key_lengths = {}; }), {"cumulative_key_lengths is empty"}},
        {packed([](Call& c) { c.rules.cumulative_query_lengths = {}; }), {"cumulative_query_lengths is empty"}},
        {packed([](Call& c) { c.rules.query_lengths = c.lengths; }), {"query_lengths and cumulative_query_lengths are both given"}},
        {packed([](Call& c) { c.query.extent[0] = 2; }), {"query.extent[0] is 2", "expected 1"}},
        {packed([](Call& c) { c.key.extent[0] = 2; }), {"key.extent[0] is 2", "expected 1"}},
    });
}

TEST_CASE("paged keys") {
    const auto paged = [](const std::function<void(Call&)>& change) {
        return [change](Call& c) {
            c.page();
            change(c);
        };
    };
    check_mistakes({
        {paged([](Call& c) { c.rules.key_lengths = {}; }), {"key_lengths is empty"}},
        {paged([](Call& c) { c.lengths[1] = 7; }), {"key_lengths[1] is 7", "page_table.extent[1] is 3"}},
        {paged([](Call& c) { c.pages[4] = 3; }), {"page_table[1, 1] is 3", "0 to 2"}},
        {paged([](Call& c) { c.pages[1] = -1; }), {"page_table[0, 1] is -1"}},
        {paged([](Call& c) { c.rules.page_table.extent[0] = 1; }), {"page_table.extent[0] is 1", "expected 2"}},
        {paged([](Call& c) { c.value.extent[0] = 2; }), {"value.extent[0] is 2", "expected 3"}},
        {[](Call& c) {
             c.page();
             c.pack();
         },
         {"key_lengths and cumulative_key_lengths are both given"}},
    });
}

TEST_CASE("logits") {
    check_mistakes({
        {[](Call& c) { c.rules.scales = Call::first(c.floats, 2); }, {"scales.size() is 2", "expected 4"}},
        {[](Call& c) {
             c.rules.scales = Call::first(c.floats, 4);
             c.floats[3] = std::numeric_limits<float>::infinity();
         },
         {"scales[3] is inf", "finite"}},
        {[](Call& c) { c.rules.alibi_slopes = Call::first(c.floats, 5); }, {"alibi_slopes.size() is 5", "expected 4"}},
        {[](Call& c) { c.rules.sinks = Call::first(c.floats, 1); }, {"sinks.size() is 1", "expected 4"}},
        {[](Call& c) { c.rules.score_function.apply = [](const void*, const ScoreTile&) {}; },
         {"score_function.apply_one is null"}},
        {[](Call& c) { c.rules.bias = {c.floats.data(), {3, 1, 1, 5}}; }, {"bias.extent[0] is 3", "1 or 2"}},
        {[](Call& c) { c.rules.bias = {c.floats.data(), {1, 2, 1, 5}}; }, {"bias.extent[1] is 2", "1 or 4"}},
        {[](Call& c) { c.rules.bias = {c.floats.data(), {1, 1, 2, 5}}; }, {"bias.extent[2] is 2", "1 or 3"}},
        {[](Call& c) { c.rules.bias = {c.floats.data(), {1, 1, 1, 4}}; }, {"bias.extent[3] is 4", "expected 5"}},
        {[](Call& c) { c.rules.query_positions = {c.tokens.data(), {1, 3}}; }, {"options.rope is null", "query_positions"}},
        {[](Call& c) { c.rules.key_positions = {c.tokens.data(), {1, 5}}; }, {"options.rope is null", "key_positions"}},
        {[](Call& c) {
             c.options.rope = &c.rope;
             c.rules.key_positions = {c.tokens.data(), {2, 4}};
         },
         {"key_positions.extent[1] is 4", "at least 5"}},
        {[](Call& c) {
             c.options.rope = &c.rope;
             c.rules.query_positions = {c.tokens.data(), {3, 3}};
         },
         {"query_positions.extent[0] is 3", "1 or 2"}},
        {[](Call& c) {
             c.options.rope = &c.rope;
             c.query.extent[3] = c.key.extent[3] = 1;
         },
         {"options.rope rotates 2 dims", "query.extent[3] is 1"}},
    });
}

TEST_CASE("masks") {
    check_mistakes({
        {[](Call& c) { c.rules.mask = {c.bytes.data(), {2, 4, 3, 4}}; }, {"mask.extent[3] is 4", "expected 5"}},
        {[](Call& c) { c.rules.mask_bits = {c.bytes.data(), {2, 4, 3, 0}}; }, {"mask_bits.extent[3] is 0", "expected 1"}},
        {[](Call& c) { c.rules.block_mask = {{c.bytes.data(), {1, 1, 1, 5}}, 0, 1}; }, {"query_block is 0", "expected 1 to"}},
        {[](Call& c) { c.rules.block_mask = {{c.bytes.data(), {1, 1, 1, 5}}, 1, -1}; }, {"key_block is -1", "expected 1 to"}},
        {[](Call& c) { c.rules.block_mask = {{c.bytes.data(), {1, 1, 1, 2}}, 2, 2}; },
         {"block_mask.visible.extent[3] is 2", "expected 3"}},
        {[](Call& c) { c.rules.block_mask = {{c.bytes.data(), {1, 1, 2, 5}}, 1, 1}; },
         {"block_mask.visible.extent[2] is 2", "1 or 3"}},
        {[](Call& c) { c.rules.prefix_lengths = Call::first(c.tokens, 2); }, {"prefix_lengths[0] is -1", "expected 0 to"}},
        {[](Call& c) { c.rules.prefix_lengths = Call::first(c.tokens, 1); }, {"prefix_lengths.size() is 1", "expected 2"}},
        {[](Call& c) { c.rules.tree_parents = {c.tokens.data(), {2, 2}}; }, {"tree_parents.extent[1] is 2", "at least 3"}},
        {[](Call& c) {
             c.tokens[1] = 1;
             c.rules.tree_parents = {c.tokens.data(), {2, 3}};
         },
         {"tree_parents[0, 1] is 1", "-1 or an earlier query"}},
        {[](Call& c) {
             c.tokens[3] = -2;
             c.rules.tree_parents = {c.tokens.data(), {2, 3}};
         },
         {"tree_parents[1, 0] is -2"}},
        {[](Call& c) {
             c.lengths[0] = 2;
             c.rules.key_lengths = c.lengths;
             c.rules.tree_parents = {c.tokens.data(), {1, 3}};
         },
         {"sequence 0 has 2 keys", "at least 3"}},
    });
}

TEST_CASE("results") {
    check_mistakes({
        {[](Call& c) { c.log_sum_exp.extent[0] = 1; }, {"log_sum_exp.extent[0] is 1", "expected 2"}},
        {[](Call& c) { c.log_sum_exp.extent[1] = 2; }, {"log_sum_exp.extent[1] is 2", "expected 4"}},
        {[](Call& c) { c.log_sum_exp.extent[2] = 5; }, {"log_sum_exp.extent[2] is 5", "expected 3"}},
        {[](Call& c) { c.log_sum_exp.data = c.out.data; }, {"out overlaps log_sum_exp"}},
        {[](Call& c) { c.log_sum_exp.stride[0] = 0; }, {"log_sum_exp.stride[0] is 0"}},
    });
    Call call;
    const auto weights = [&](const TensorView<double, 4>& view) {
        return [&call, view] { reference::attention_weights<double>(call.query, call.key, view); };
    };
    CHECK(message_of(weights({call.out.data, {2, 4, 3, 5}})) == kNoError);
    check_error(weights({call.out.data, {2, 4, 3, 4}}), {"weights.extent[3] is 4", "at least 5"});
    check_error(weights({call.out.data, {2, 2, 3, 5}}), {"weights.extent[1] is 2", "expected 4"});
    check_error(weights({call.key.data, {2, 4, 3, 5}}), {"weights overlaps key"});
}

}  // namespace
}  // namespace headwise::test
