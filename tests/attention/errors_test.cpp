// Every mistake in a call is named: the argument, the value that it had, what was expected; and nothing has been written.
#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/attention_case.hpp"
#include "tests/support/error_message.hpp"

namespace headwise::test {
namespace {

TEST_CASE("a shape that no plan can be made for") {
    constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
    struct Mistake {
        std::function<void(AttentionShape&)> make;
        std::vector<std::string> parts;
    };
    const Mistake mistakes[] = {
        {[](auto& s) { s.batch = -1; }, {"shape.batch is -1", "expected 0 to"}},
        {[](auto& s) { s.num_heads = 0; }, {"shape.num_heads is 0", "expected 1 to"}},
        {[](auto& s) { s.num_kv_heads = 0; }, {"shape.num_kv_heads is 0", "expected 1 to"}},
        {[](auto& s) { s.num_kv_heads = -4; }, {"shape.num_kv_heads is -4"}},
        {[](auto& s) { s.num_heads = 7; }, {"shape.num_heads is 7", "shape.num_kv_heads is 2", "multiple"}},
        {[](auto& s) { s.num_heads = 1; }, {"shape.num_heads is 1", "shape.num_kv_heads is 2", "multiple"}},
        {[](auto& s) { s.query_length = -3; }, {"shape.query_length is -3", "expected 0 to"}},
        {[](auto& s) { s.key_length = -1; }, {"shape.key_length is -1", "expected 0 to"}},
        {[](auto& s) { s.head_dim = 0; }, {"shape.head_dim is 0", "expected 1 to 576"}},
        {[](auto& s) { s.head_dim = 577; }, {"shape.head_dim is 577", "expected 1 to 576"}},
        {[](auto& s) { s.value_dim = 577; }, {"shape.value_dim is 577", "expected 1 to 576"}},
        {[](auto& s) { s.value_dim = -1; }, {"shape.value_dim is -1", "expected 1 to 576"}},
        {[](auto& s) { s.batch = kHuge; }, {"shape.batch is 9223372036854775807"}},
        {[](auto& s) { s.query_length = kHuge; }, {"shape.query_length is 9223372036854775807"}},
        {[](auto& s) { s.key_length = kHuge; }, {"shape.key_length is 9223372036854775807"}},
        {[](auto& s) { s.batch = 1'000'000'000, s.query_length = 1'000'000'000, s.num_heads = 1'000'000; },
         {"shape.batch is 1000000000", "64 bits"}},
    };
    for (const Mistake& mistake : mistakes) {
        AttentionShape shape{.batch = 2, .num_heads = 4, .num_kv_heads = 2, .query_length = 3, .key_length = 5, .head_dim = 8};
        mistake.make(shape);
        check_message(message_of([&] { AttentionPlan plan(shape); }), mistake.parts);
    }
}

TEST_CASE("options that no plan can be made for") {
    const AttentionShape shape{.query_length = 3, .key_length = 5, .head_dim = 8};
    const auto message = [&](const AttentionOptions& options) { return message_of([&] { AttentionPlan plan(shape, options); }); };
    check_message(message({.scale = std::numeric_limits<float>::quiet_NaN()}), {"options.scale is ", "nan", "finite"});
    check_message(message({.scale = std::numeric_limits<float>::infinity()}), {"options.scale is inf", "finite"});
    check_message(message({.scale = -std::numeric_limits<float>::infinity()}), {"options.scale is -inf", "finite"});
    check_message(message({.scale = 3e38f}), {"options.scale is 3", "2e38"});
    check_message(message({.max_threads = -1}), {"options.max_threads is -1", "expected 0"});
    check_message(message({.causal = static_cast<Causal>(7)}), {"options.causal is 7", "Causal"});
}

const AttentionCase kCase{
    .shape = {.batch = 2, .num_heads = 4, .num_kv_heads = 2, .query_length = 3, .key_length = 5, .head_dim = 8, .value_dim = 6}};

struct ViewMistake {
    std::function<void(AttentionViews&)> make;
    std::vector<std::string> parts;
};

const ViewMistake kViewMistakes[] = {
    {[](auto& v) { v.query.extent[0] = 3; }, {"query.extent[0] is 3", "expected 2", "batch"}},
    {[](auto& v) { v.query.extent[1] = 2; }, {"query.extent[1] is 2", "expected 4", "heads"}},
    {[](auto& v) { v.query.extent[2] = 4; }, {"query.extent[2] is 4", "expected 3"}},
    {[](auto& v) { v.query.extent[3] = 7; }, {"query.extent[3] is 7", "expected 8", "head dimension"}},
    {[](auto& v) { v.key.extent[0] = 1; }, {"key.extent[0] is 1", "expected 2", "batch"}},
    {[](auto& v) { v.key.extent[1] = 4; }, {"key.extent[1] is 4", "expected 2", "heads"}},
    {[](auto& v) { v.key.extent[2] = 4; }, {"key.extent[2] is 4", "value.extent[2] is 5", "number of keys must match"}},
    {[](auto& v) { v.key.extent[3] = 9; }, {"key.extent[3] is 9", "expected 8", "head dimension"}},
    {[](auto& v) { v.value.extent[0] = 0; }, {"value.extent[0] is 0", "expected 2", "batch"}},
    {[](auto& v) { v.value.extent[1] = 1; }, {"value.extent[1] is 1", "expected 2", "heads"}},
    {[](auto& v) { v.value.extent[2] = 6; }, {"key.extent[2] is 5", "value.extent[2] is 6", "number of keys must match"}},
    {[](auto& v) { v.value.extent[3] = 8; }, {"value.extent[3] is 8", "expected 6", "value dimension"}},
    {[](auto& v) { v.out.extent[0] = 1; }, {"out.extent[0] is 1", "expected 2", "batch"}},
    {[](auto& v) { v.out.extent[1] = 3; }, {"out.extent[1] is 3", "expected 4", "heads"}},
    {[](auto& v) { v.out.extent[2] = 2; }, {"out.extent[2] is 2", "expected 3"}},
    {[](auto& v) { v.out.extent[3] = 5; }, {"out.extent[3] is 5", "expected 6", "value dimension"}},
    {[](auto& v) { v.key.extent[2] = v.value.extent[2] = -1; }, {"key.extent[2] is -1", "negative"}},
    {[](auto& v) { v.query.stride[3] = 2; }, {"query.stride[3] is 2", "stride 1"}},
    {[](auto& v) { v.key.stride[3] = 0; }, {"key.stride[3] is 0", "stride 1"}},
    {[](auto& v) { v.value.stride[3] = -1; }, {"value.stride[3] is -1", "stride 1"}},
    {[](auto& v) { v.out.stride[3] = 3; }, {"out.stride[3] is 3", "stride 1"}},
    {[](auto& v) { v.query.data = nullptr; }, {"query.data is null"}},
    {[](auto& v) { v.key.data = nullptr; }, {"key.data is null"}},
    {[](auto& v) { v.value.data = nullptr; }, {"value.data is null"}},
    {[](auto& v) { v.out.data = nullptr; }, {"out.data is null"}},
    {[](auto& v) { v.key.stride[2] = std::numeric_limits<std::int64_t>::max() / 2; },
     {"key.extent[2] is 5", "key.stride[2] is 4611686018427387903", "64 bits"}},
    {[](auto& v) { v.query.stride[0] = std::numeric_limits<std::int64_t>::min(); },
     {"query.stride[0] is -9223372036854775808", "64 bits"}},
    {[](auto& v) { v.out.stride[0] = 0; }, {"out.stride[0] is 0", "must not overlap"}},
    {[](auto& v) { v.out.stride[2] = 5; }, {"out.stride[2] is 5", "must not overlap", "at least 6"}},
    {[](auto& v) { v.query = {v.out.data, v.query.extent}; }, {"out overlaps query"}},
    {[](auto& v) { v.key = {v.out.data, v.key.extent}; }, {"out overlaps key"}},
    {[](auto& v) { v.value = {v.out.data - 3, v.value.extent}; }, {"out overlaps value"}},
};

TEST_CASE("views that do not fit the plan, or one another") {
    const AttentionPlan plan(kCase.shape);
    const GuardedMemory workspace(plan.workspace_bytes(), Guard::above);
    for (const ViewMistake& mistake : kViewMistakes) {
        const AttentionTensors tensors(kCase);
        AttentionViews views = tensors.views();
        mistake.make(views);
        check_message(
            message_of([&] { plan.run(views.query, views.key, views.value, views.out, {workspace.data(), workspace.size()}); }),
            mistake.parts);
        CHECK(tensors.out.untouched());
    }
}

TEST_CASE("the one-shot function refuses what a plan refuses") {
    const auto message = [](const std::function<void(AttentionViews&)>& make, const AttentionOptions& options = {}) {
        const AttentionTensors tensors(kCase);
        AttentionViews views = tensors.views();
        make(views);
        const std::string result = message_of([&] { attention(views.query, views.key, views.value, views.out, options); });
        CHECK(tensors.out.untouched());
        return result;
    };
    check_message(message([](auto& v) { v.key.extent[1] = 3; }), {"query.extent[1] is 4", "key.extent[1] is 3", "multiple"});
    check_message(message([](auto& v) { v.value.extent[3] = 0; }), {"value.extent[3] is 0", "expected 1 to 576"});
    check_message(message([](auto& v) { v.query.extent[3] = 577; }), {"query.extent[3] is 577", "expected 1 to 576"});
    check_message(message([](auto&) {}, {.isa = static_cast<Isa>(99)}), {"options.isa is 99", "no such ISA"});
    check_message(message([](auto& v) { v.key.extent[3] = 7; }), {"key.extent[3] is 7", "expected 8"});
    check_message(message([](auto& v) { v.value.extent[2] = 4; }),
                  {"key.extent[2] is 5", "value.extent[2] is 4", "number of keys must match"});
    check_message(message([](auto& v) { v.out.extent[3] = 8; }), {"out.extent[3] is 8", "expected 6"});
    check_message(message([](auto& v) { v.query.data = nullptr; }), {"query.data is null"});
    check_message(message([](auto&) {}, {.scale = std::numeric_limits<float>::infinity()}), {"options.scale is inf", "finite"});
}

TEST_CASE("a workspace that is too small by one byte, or empty") {
    const AttentionPlan plan(kCase.shape);
    const std::size_t needed = plan.workspace_bytes();
    const GuardedMemory workspace(needed, Guard::above);
    const AttentionTensors tensors(kCase);
    const AttentionViews views = tensors.views();
    for (const std::size_t size : {needed - 1, std::size_t{0}}) {
        check_message(message_of([&] { plan.run(views.query, views.key, views.value, views.out, {workspace.data(), size}); }),
                      {"workspace.size() is " + std::to_string(size), "expected at least", std::to_string(needed)});
        CHECK(tensors.out.untouched());
    }
}

TEST_CASE("a workspace that is not apart from everything else") {
    const AttentionShape shape{.query_length = 3, .key_length = 5, .head_dim = 8};
    const AttentionPlan plan(shape);
    std::vector<float> memory(4 * plan.workspace_bytes() / sizeof(float) + 1000, 0.5f);
    std::vector<float> query(24), key(40), value(40), out(24, -7.0f);
    const auto sound = [&] {
        return AttentionArguments{.query = bhsd<const float>(query.data(), 1, 1, 3, 8),
                                  .key = bhsd<const float>(key.data(), 1, 1, 5, 8),
                                  .value = bhsd<const float>(value.data(), 1, 1, 5, 8),
                                  .out = bhsd(out.data(), 1, 1, 3, 8)};
    };
    const std::span workspace = std::as_writable_bytes(std::span(memory)).first(plan.workspace_bytes());
    const auto check = [&](const char* name, const AttentionArguments& arguments) {
        check_message(message_of([&] { plan.run(arguments, workspace); }), {"workspace", name, "overlaps"});
    };
    AttentionArguments a = sound();
    CHECK(message_of([&] { plan.run(a, workspace); }) == kNoError);
    std::ranges::fill(memory, 0.5f);
    a.query.data = memory.data();
    check("query", a);
    a = sound(), a.key.data = memory.data() + 4;
    check("key", a);
    a = sound(), a.value.data = memory.data() + workspace.size() / sizeof(float) - 1;
    check("value", a);
    a = sound(), a.out.data = memory.data();
    check("out", a);
    a = sound(), a.scales = {memory.data(), 1};
    check("scales", a);
    a = sound(), a.mask = {reinterpret_cast<const std::uint8_t*>(memory.data()), {1, 1, 1, 5}};
    check("mask", a);
    check_message(message_of([&] { plan.run(sound(), {static_cast<std::byte*>(nullptr), plan.workspace_bytes()}); }),
                  {"workspace.data is null"});
}

TEST_CASE("arrays of lengths without data") {
    std::vector<float> x(64);
    AttentionArguments a{.query = bhsd<const float>(x.data(), 1, 1, 1, 8),
                         .key = bhsd<const float>(x.data() + 8, 1, 1, 2, 8),
                         .value = bhsd<const float>(x.data() + 24, 1, 1, 2, 8),
                         .out = bhsd(x.data() + 40, 1, 1, 1, 8)};
    const std::span<const std::int32_t> narrow(static_cast<const std::int32_t*>(nullptr), 1);
    const std::span<const std::int64_t> wide(static_cast<const std::int64_t*>(nullptr), 1);
    AttentionArguments b = a;
    b.key_lengths = narrow;
    check_message(message_of([&] { attention(b); }), {"key_lengths.data is null"});
    b = a, b.query_lengths = narrow;
    check_message(message_of([&] { attention(b); }), {"query_lengths.data is null"});
    b = a, b.prefix_lengths = narrow;
    check_message(message_of([&] { attention(b); }), {"prefix_lengths.data is null"});
    b = a, b.first_key_positions = wide;
    check_message(message_of([&] { attention(b); }), {"first_key_positions.data is null"});
    b = a, b.cumulative_query_lengths = wide;
    check_message(message_of([&] { attention(b); }), {"cumulative_query_lengths.data is null"});
}

TEST_CASE("null data is fine where there are no elements, and the stride of an axis of extent 1 means nothing") {
    const AttentionTensors tensors(kCase);
    AttentionViews views = tensors.views();
    views.key.data = views.value.data = nullptr;
    views.key.extent[2] = views.value.extent[2] = 0;
    CHECK_NOTHROW(attention(views.query, views.key, views.value, views.out));
    CHECK(element(views.out, 1, 3, 2, 5) == 0);

    const AttentionTensors one({.shape = {.query_length = 1, .key_length = 1, .head_dim = 1}});
    AttentionViews strange = one.views();
    for (const std::int64_t stride : {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
        strange.query.stride = strange.out.stride = {stride, 0, -7, 12};
        strange.key.stride = strange.value.stride = {0, -7, stride, 1};
        CHECK_NOTHROW(attention(strange.query, strange.key, strange.value, strange.out));
        CHECK(element(strange.out, 0, 0, 0, 0) == element(strange.value, 0, 0, 0, 0));
    }
}

TEST_CASE("an output without elements is accepted, whatever its strides") {
    const AttentionTensors tensors(kCase);
    AttentionViews views = tensors.views();
    views.query.extent[2] = views.out.extent[2] = 0;
    views.out.data = nullptr;
    for (const std::int64_t stride : {0, -1, 1}) {
        views.out.stride = {stride, stride, stride, 1};
        CHECK_NOTHROW(attention(views.query, views.key, views.value, views.out));
    }
}

}  // namespace
}  // namespace headwise::test
