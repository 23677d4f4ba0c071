// The checks of views by themselves: what is refused, what is not, and that no arithmetic overflows on the way (the sanitizers
// watch).
#include "engine/tensor/view_check.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "tests/support/error_message.hpp"
#include "tests/support/random_numbers.hpp"

namespace headwise::test {
namespace {

constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max(), kSmallest = std::numeric_limits<std::int64_t>::min();

using View = TensorView<float, 3>;

TEST_CASE("the memory that elements of any size take, for strides of either sign") {
    const auto check = [](auto x) {
        using T = decltype(x);
        using ViewOfT = TensorView<T, 3>;
        constexpr std::uintptr_t kSize = sizeof(T);
        const auto address = reinterpret_cast<std::uintptr_t>(&x);
        const MemoryRange range = checked_view("x", ViewOfT(&x, {2, 3, 4}, {100, -10, 1})).memory;
        CHECK(range.begin == address - 20 * kSize);
        CHECK(range.end == address + 104 * kSize);
        const MemoryRange none = checked_view("x", ViewOfT(nullptr, {2, 0, 4}, {kLargest, kSmallest, 1})).memory;
        CHECK(none.begin == none.end);
        const MemoryRange one = checked_view("x", ViewOfT(&x, {1, 1, 1}, {kLargest, kSmallest, -1})).memory;
        CHECK(one.begin == address);
        CHECK(one.end == address + kSize);
    };
    check(float{});
    check(double{});
    check(std::int32_t{});
    check(std::int64_t{});
    check(std::uint8_t{});
}

TEST_CASE("negative extents, null data and addresses beyond 64 bits are refused by name") {
    float x = 0;
    CHECK(message_of([&] { checked_view("x", View(&x, {2, -3, 4}, {12, 4, 1})); }) == "x.extent[1] is -3: it must not be negative");
    CHECK(message_of([&] { checked_view("x", View(nullptr, {2, 3, 4}, {12, 4, 1})); }).starts_with("x.data is null"));
    for (const std::int64_t stride : {kLargest, kSmallest, kLargest / 2, kSmallest / 2, kLargest / 32}) {
        CAPTURE(stride);
        const std::string message = message_of([&] { checked_view("x", View(&x, {1, 3, 4}, {0, stride, 1})); });
        CHECK(message.find("x.stride[1] is " + std::to_string(stride)) != std::string::npos);
        CHECK(message.find("64 bits") != std::string::npos);
    }
    CHECK(message_of([&] { checked_view("x", View(&x, {kLargest, kLargest, 1}, {1, 1, 1})); }) != kNoError);
}

/// The offsets of all elements.
std::vector<std::int64_t> offsets(const View& x) {
    std::vector<std::int64_t> result;
    for (std::int64_t i = 0; i < x.extent[0]; ++i)
        for (std::int64_t j = 0; j < x.extent[1]; ++j)
            for (std::int64_t k = 0; k < x.extent[2]; ++k) result.push_back(i * x.stride[0] + j * x.stride[1] + k * x.stride[2]);
    return result;
}

View random_view(RandomNumbers& random, float* data) {
    View view;
    view.data = data + random.between(0, 20);
    for (std::size_t i = 0; i < 3; ++i) {
        view.extent[i] = random.between(1, 4);
        view.stride[i] = random.between(-12, 12);
    }
    return view;
}

TEST_CASE("a view in which two elements share an address is refused") {
    INFO(reproduction(test_seed()));
    RandomNumbers random(test_seed());
    std::array<float, 200> memory{};
    int refused = 0, shared = 0;
    for (int i = 0; i < 20000; ++i) {
        const View view = random_view(random, memory.data() + 80);
        const auto all = offsets(view);
        const bool overlaps = std::set<std::int64_t>(all.begin(), all.end()).size() != all.size();
        const bool is_refused = message_of([&] { check_no_self_overlap("x", view); }) != kNoError;
        if (overlaps) CHECK(is_refused);
        refused += is_refused;
        shared += overlaps;
    }
    CHECK(shared > 1000);
    CHECK(refused < 19000);  // it does accept most of what is in order
}

TEST_CASE("an input that shares an address with the output is refused; parts that interleave at one step are not") {
    INFO(reproduction(test_seed()));
    RandomNumbers random(test_seed());
    std::array<float, 200> memory{};
    int shared = 0;
    for (int i = 0; i < 20000; ++i) {
        const View out = random_view(random, memory.data() + 80), in = random_view(random, memory.data() + 80);
        std::set<const float*> written;
        for (const std::int64_t offset : offsets(out)) written.insert(out.data + offset);
        bool overlaps = false;
        for (const std::int64_t offset : offsets(in)) overlaps |= written.count(in.data + offset) != 0;
        const bool is_refused = message_of([&] { check_apart(checked_view("out", out), checked_view("in", in)); }) != kNoError;
        if (overlaps) CHECK(is_refused);
        shared += overlaps;
    }
    CHECK(shared > 1000);

    // [2, 3 parts, 4]: the parts of a packed buffer.
    for (int out_part = 0; out_part < 3; ++out_part)
        for (int in_part = 0; in_part < 3; ++in_part) {
            const View out(memory.data() + out_part * 4, {2, 1, 4}, {12, kSmallest, 1});
            const View in(memory.data() + in_part * 4, {2, 1, 4}, {12, kLargest, 1});
            const std::string message = message_of([&] { check_apart(checked_view("out", out), checked_view("in", in)); });
            CHECK((message != kNoError) == (out_part == in_part));
        }
}

TEST_CASE("elements of other sizes and views of other ranks overlap where any byte does") {
    INFO(reproduction(test_seed()));
    RandomNumbers random(test_seed());
    std::array<float, 200> memory{};
    auto* bytes = reinterpret_cast<std::uint8_t*>(memory.data());
    int shared = 0, apart = 0;
    for (int i = 0; i < 20000; ++i) {
        const View out = random_view(random, memory.data() + 80);
        TensorView<const std::uint8_t, 2> in(bytes + 320 + random.between(0, 100), {random.between(1, 5), random.between(1, 5)},
                                             {random.between(-60, 60), random.between(-9, 9)});
        std::set<const std::uint8_t*> written;
        for (const std::int64_t offset : offsets(out))
            for (int byte = 0; byte < 4; ++byte) written.insert(reinterpret_cast<const std::uint8_t*>(out.data + offset) + byte);
        bool overlaps = false;
        for (std::int64_t y = 0; y < in.extent[0]; ++y)
            for (std::int64_t x = 0; x < in.extent[1]; ++x)
                overlaps |= written.count(in.data + y * in.stride[0] + x * in.stride[1]) != 0;
        const bool is_refused = message_of([&] { check_apart(checked_view("out", out), checked_view("in", in)); }) != kNoError;
        if (overlaps) CHECK(is_refused);
        shared += overlaps;
        apart += !is_refused;
    }
    CHECK(shared > 1000);
    CHECK(apart > 1000);
}

TEST_CASE("two views are the same where all strides that are taken agree") {
    float x = 0;
    const View view(&x, {2, 1, 4}, {9, 7, 1});
    CHECK(is_same_view(view, TensorView<const float, 3>(&x, {2, 1, 4}, {9, kSmallest, 1})));
    CHECK_FALSE(is_same_view(view, View(&x, {2, 1, 4}, {10, 7, 1})));
    CHECK_FALSE(is_same_view(view, View(&x + 1, {2, 1, 4}, {9, 7, 1})));
    CHECK(is_same_view(View(&x, {2, 0, 4}, {9, 7, 1}), View(&x, {2, 0, 4}, {1, 2, 3})));
}

TEST_CASE("rows must be adjacent elements, extents as expected") {
    float x = 0;
    CHECK(message_of([&] { check_unit_stride("x", View(&x, {1, 1, 2}, {2, 2, 2})); }).starts_with("x.stride[2] is 2"));
    CHECK(message_of([&] { check_unit_stride("x", View(&x, {1, 1, 1}, {2, 2, 2})); }) == kNoError);
    CHECK(message_of([&] { check_extent("x", View(&x, {1, 5, 1}, {2, 2, 2}), 1, 6, "the number of rows"); }) ==
          "x.extent[1] is 5, expected 6: the number of rows");
}

TEST_CASE("extents whose product exceeds 64 bits give strides that are refused, and no overflow") {
    float x = 0;
    for (const View::Extents& extent : {View::Extents{2, kLargest, kLargest}, {2, std::int64_t{1} << 33, std::int64_t{1} << 33}}) {
        const std::string message = message_of([&] { checked_view("x", View(&x, extent)); });
        CHECK(message.find("the addresses exceed 64 bits") != std::string::npos);
    }
    CHECK(message_of([&] { checked_view("x", View(&x, {2, -3, kLargest})); }).find("x.extent[1] is -3") != std::string::npos);
    const auto heads = bshd(&x, 2, kLargest / 3, 7, 5);
    CHECK(message_of([&] { checked_view("x", heads); }).find("the addresses exceed 64 bits") != std::string::npos);
}

}  // namespace
}  // namespace headwise::test
