// Appending to caches that the caller lays out.
#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "headwise/kv_cache.hpp"
#include "tests/support/error_message.hpp"
#include "tests/support/strided_tensor.hpp"

namespace headwise::test {
namespace {

/// What one call is given; a test changes one part of it.
struct Call {
    TensorView<float, 4> key_cache, value_cache;
    std::vector<std::int32_t> lengths;
    TensorView<const float, 4> key, value;
    const RopeTable* rope = nullptr;

    void run() { append_in_place(key_cache, value_cache, lengths, key, value, rope); }
};

/// Caches of 2 sequences, 3 heads, room for 9 tokens, and n tokens for each.
struct Tensors {
    explicit Tensors(RandomNumbers& random, std::int64_t n, const std::array<Layout, 4>& layouts = {})
        : key_cache({2, 3, 9, 6}, layouts[0], Guard::above),
          value_cache({2, 3, 9, 4}, layouts[1], Guard::above),
          key({2, 3, n, 6}, layouts[2], Guard::above),
          value({2, 3, n, 4}, layouts[3], Guard::above) {
        key.fill_normal(random, 1);
        value.fill_normal(random, 1);
    }

    Call call(const std::vector<std::int32_t>& lengths) const {
        return {key_cache.view(), value_cache.view(), lengths, key.view(), value.view()};
    }

    StridedTensor key_cache, value_cache, key, value;
};

/// Tokens from `length` on are the given ones, the others are as `before` says.
void check_written(const StridedTensor& cache, const StridedTensor& tokens, const std::vector<float>& before,
                   const std::vector<std::int32_t>& lengths) {
    const std::int64_t n = tokens.view().extent[2];
    std::size_t i = 0, wrong = 0;
    for_each_element(cache.view().extent, [&](std::int64_t b, std::int64_t h, std::int64_t s, std::int64_t d) {
        const std::int64_t token = s - lengths[static_cast<std::size_t>(b)];
        const float expected = token >= 0 && token < n ? tokens.at(b, h, token, d) : before[i];
        wrong += cache.at(b, h, s, d) != expected;
        ++i;
    });
    CHECK(wrong == 0);
    CHECK(cache.gaps_untouched());
}

std::vector<float> values_of(const StridedTensor& tensor) {
    std::vector<float> values;
    for_each_element(tensor.view().extent, [&](auto... index) { values.push_back(tensor.at(index...)); });
    return values;
}

TEST_CASE("tokens go behind each sequence's last, lengths advance, nothing else is written, for any strides") {
    RandomNumbers random(test_seed());
    for (int i = 0; i < 50; ++i) {
        const std::array<Layout, 4> layouts{random_layout(random, false), random_layout(random, false), random_layout(random, true),
                                            random_layout(random, true)};
        Tensors t(random, random.between(0, 4), layouts);
        const auto n = static_cast<std::int32_t>(t.key.view().extent[2]);
        t.key_cache.fill_normal(random, 1);
        t.value_cache.fill_normal(random, 1);
        const std::vector<float> keys = values_of(t.key_cache), values = values_of(t.value_cache);
        const std::vector<std::int32_t> lengths{static_cast<std::int32_t>(random.between(0, 9 - n)), 9 - n};
        Call call = t.call(lengths);
        call.run();
        CHECK(call.lengths == std::vector<std::int32_t>{lengths[0] + n, 9});
        check_written(t.key_cache, t.key, keys, lengths);
        check_written(t.value_cache, t.value, values, lengths);
    }
}

TEST_CASE("the two caches may be interleaved in one buffer, and so may the tokens") {
    std::vector<float> caches(2 * 3 * 9 * 10), tokens(2 * 3 * 2 * 10);
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<float>(i + 1);
    std::vector<std::int32_t> lengths{0, 7};
    const TensorView<float, 4> key_cache{caches.data(), {2, 3, 9, 6}, {270, 90, 10, 1}};
    const TensorView<float, 4> value_cache{caches.data() + 6, {2, 3, 9, 4}, {270, 90, 10, 1}};
    append_in_place(key_cache, value_cache, lengths, {tokens.data(), {2, 3, 2, 6}, {60, 20, 10, 1}},
                    {tokens.data() + 6, {2, 3, 2, 4}, {60, 20, 10, 1}});
    CHECK(lengths == std::vector<std::int32_t>{2, 9});
    CHECK(element(key_cache, 1, 2, 8, 5) == tokens[60 + 40 + 10 + 5]);
    CHECK(element(value_cache, 1, 2, 8, 3) == tokens[60 + 40 + 10 + 9]);
    CHECK(element(key_cache, 0, 1, 1, 0) == tokens[20 + 10]);
    CHECK(element(key_cache, 0, 1, 2, 0) == 0);
}

TEST_CASE("nothing to append is nothing to do") {
    std::vector<std::int32_t> lengths;
    append_in_place({nullptr, {0, 3, 9, 6}}, {nullptr, {0, 3, 9, 4}}, lengths, {nullptr, {0, 3, 2, 6}}, {nullptr, {0, 3, 2, 4}});
    lengths = {9};
    std::vector<float> cache(3 * 9 * 10);
    append_in_place({cache.data(), {1, 3, 9, 6}}, {cache.data() + 162, {1, 3, 9, 4}}, lengths, {nullptr, {1, 3, 0, 6}},
                    {nullptr, {1, 3, 0, 4}});
    CHECK(lengths[0] == 9);
}

TEST_CASE("every mistake is named, and nothing is written") {
    constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
    RandomNumbers random(test_seed());
    const Tensors t(random, 2);
    const RopeTable few_positions({.dims = 4}, 6), many_dims({.dims = 8}, 20);
    struct Mistake {
        std::function<void(Call&)> make;
        std::vector<std::string> parts;
    };
    const Mistake mistakes[] = {
        {[](Call& c) { c.lengths = {0, 8}; }, {"lengths[1] is 8: expected 0 to 7", "2 more tokens", "capacity of 9"}},
        {[](Call& c) { c.lengths = {-1, 0}; }, {"lengths[0] is -1: expected 0 to 7"}},
        {[](Call& c) { c.lengths = {0, 0, 0}; }, {"key_cache.extent[0] is 2, expected 3", "the size of lengths"}},
        {[](Call& c) { c.value_cache.extent[0] = 1; }, {"value_cache.extent[0] is 1, expected 2"}},
        {[](Call& c) { c.value_cache.extent[1] = 2; }, {"value_cache.extent[1] is 2, expected 3", "key_cache.extent[1]"}},
        {[](Call& c) { c.value_cache.extent[2] = 8; }, {"value_cache.extent[2] is 8, expected 9", "capacity"}},
        {[](Call& c) { c.key.extent[0] = 1; }, {"key.extent[0] is 1, expected 2"}},
        {[](Call& c) { c.key.extent[1] = 1; }, {"key.extent[1] is 1, expected 3"}},
        {[](Call& c) { c.key.extent[3] = 5; }, {"key.extent[3] is 5, expected 6"}},
        {[](Call& c) { c.value.extent[2] = 1; }, {"value.extent[2] is 1, expected 2", "key.extent[2], the number of tokens"}},
        {[](Call& c) { c.value.extent[3] = 6; }, {"value.extent[3] is 6, expected 4"}},
        {[](Call& c) { c.key.extent[2] = c.value.extent[2] = -1; }, {"key.extent[2] is -1", "negative"}},
        {[](Call& c) { c.key.extent[2] = c.value.extent[2] = kHuge, c.key.stride[2] = c.value.stride[2] = 0; },
         {"key.extent[2] is 9223372036854775807: expected at most 9"}},
        {[](Call& c) { c.key_cache.data = nullptr; }, {"key_cache.data is null"}},
        {[](Call& c) { c.value.data = nullptr; }, {"value.data is null"}},
        {[](Call& c) { c.key_cache.stride[3] = 2; }, {"key_cache.stride[3] is 2", "stride 1"}},
        {[](Call& c) { c.value.stride[3] = 0; }, {"value.stride[3] is 0", "stride 1"}},
        {[](Call& c) { c.value_cache.stride[0] = 0; }, {"value_cache.stride[0] is 0", "must not overlap"}},
        {[](Call& c) { c.key = {c.value_cache.data, {2, 3, 2, 6}}; }, {"value_cache overlaps key"}},
        {[](Call& c) { c.value_cache.data = c.key_cache.data; }, {"key_cache overlaps value_cache"}},
        {[&](Call& c) { c.lengths = {3, 5}, c.rope = &few_positions; }, {"rope->positions() is 6", "2 tokens from position 5 on"}},
        {[&](Call& c) { c.rope = &many_dims; }, {"rope->options().dims is 8", "at most 6"}},
    };
    for (const Mistake& mistake : mistakes) {
        Call call = t.call({0, 1});
        mistake.make(call);
        const std::vector<std::int32_t> lengths = call.lengths;
        check_error([&] { call.run(); }, mistake.parts);
        CHECK(call.lengths == lengths);
        CHECK(t.key_cache.untouched());
        CHECK(t.value_cache.untouched());
    }
}

TEST_CASE("lengths, which are written, are apart from caches and tokens") {
    std::vector<float> memory(400, 7.0f);
    const auto append = [&](float* lengths) {
        std::fill_n(lengths, 2, 0.0f);
        append_in_place(bhsd(memory.data(), 2, 1, 4, 4), bhsd(memory.data() + 100, 2, 1, 4, 4),
                        {reinterpret_cast<std::int32_t*>(lengths), 2}, bhsd<const float>(memory.data() + 200, 2, 1, 2, 4),
                        bhsd<const float>(memory.data() + 300, 2, 1, 2, 4));
    };
    check_error([&] { append(memory.data() + 3); }, {"lengths overlaps key_cache"});
    check_error([&] { append(memory.data() + 100); }, {"lengths overlaps value_cache"});
    check_error([&] { append(memory.data() + 210); }, {"lengths overlaps key"});
    check_error([&] { append(memory.data() + 314); }, {"lengths overlaps value"});
    CHECK(message_of([&] { append(memory.data() + 350); }) == kNoError);
}

}  // namespace
}  // namespace headwise::test
