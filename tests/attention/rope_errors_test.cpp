// What RoPE refuses: the message names the argument, the value that it had and what was expected; nothing has been written.
#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "headwise/rope.hpp"
#include "tests/support/error_message.hpp"
#include "tests/support/strided_tensor.hpp"

namespace headwise::test {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max(), kMin = std::numeric_limits<std::int64_t>::min();

TEST_CASE("a table that cannot be") {
    struct {
        RopeOptions options;
        std::int64_t positions;
        std::vector<std::string> parts;
    } const mistakes[] = {
        {{}, 5, {"options.dims is 0", "even", "2 to 4096"}},
        {{.dims = -2}, 5, {"options.dims is -2", "even"}},
        {{.dims = 7}, 5, {"options.dims is 7", "even"}},
        {{.dims = 8, .base = 0}, 5, {"options.base is 0", "above 0"}},
        {{.dims = 8, .base = -10000}, 5, {"options.base is -10000", "above 0"}},
        {{.dims = 8, .base = std::numeric_limits<double>::infinity()}, 5, {"options.base is inf", "finite"}},
        {{.dims = 8, .base = std::numeric_limits<double>::quiet_NaN()}, 5, {"options.base is nan", "finite"}},
        {{.dims = 400, .base = 5e-324}, 5, {"options.base is 5e-324", "too small", "finite"}},
        {{.dims = 8, .pairs = static_cast<RopePairs>(2)}, 5, {"options.pairs is 2", "RopePairs"}},
        {{.dims = 8}, 0, {"positions is 0", "1 to 2147483648"}},
        {{.dims = 8}, -3, {"positions is -3", "1 to 2147483648"}},
        {{.dims = 4098}, 5, {"options.dims is 4098", "2 to 4096"}},
        {{.dims = 8}, (std::int64_t{1} << 31) + 1, {"positions is 2147483649", "1 to 2147483648"}},
        {{.dims = 8}, kMax, {"positions is 9223372036854775807", "1 to 2147483648"}},
    };
    for (const auto& mistake : mistakes) check_error([&] { RopeTable(mistake.options, mistake.positions); }, mistake.parts);
}

struct Call {
    TensorView<const float, 4> x;
    TensorView<float, 4> out;
    TensorView<const std::int32_t, 2> positions{};
    std::int64_t first_position = 0;
};

struct Mistake {
    std::function<void(Call&)> make;
    std::vector<std::string> parts;
};

// x and out are [2, 3, 4, 10], out with gaps of 2 after each row; the table has 8 dims and 6 positions.
const Mistake kMistakes[] = {
    {[](auto& c) { c.x.extent[1] = -1; }, {"x.extent[1] is -1", "negative"}},
    {[](auto& c) { c.out.extent[2] = -4; }, {"out.extent[2] is -4", "negative"}},
    {[](auto& c) { c.x.data = nullptr; }, {"x.data is null"}},
    {[](auto& c) { c.out.data = nullptr; }, {"out.data is null"}},
    {[](auto& c) { c.x.stride[0] = kMin; }, {"x.stride[0] is -9223372036854775808", "64 bits"}},
    {[](auto& c) { c.out.stride[2] = kMax / 2; }, {"out.stride[2] is", "64 bits"}},
    {[](auto& c) { c.out.extent[0] = 1; }, {"out.extent[0] is 1", "expected 2", "x.extent[0]"}},
    {[](auto& c) { c.out.extent[1] = 4; }, {"out.extent[1] is 4", "expected 3", "x.extent[1]"}},
    {[](auto& c) { c.out.extent[2] = 3; }, {"out.extent[2] is 3", "expected 4", "x.extent[2]"}},
    {[](auto& c) { c.out.extent[3] = 9; }, {"out.extent[3] is 9", "expected 10", "x.extent[3]"}},
    {[](auto& c) { c.x.extent[3] = c.out.extent[3] = 7; }, {"x.extent[3] is 7", "at least 8", "dims of the table"}},
    {[](auto& c) { c.x.stride[3] = 2; }, {"x.stride[3] is 2", "stride 1"}},
    {[](auto& c) { c.out.stride[3] = -1; }, {"out.stride[3] is -1", "stride 1"}},
    {[](auto& c) { c.out.stride[0] = 0; }, {"out.stride[0] is 0", "must not overlap"}},
    {[](auto& c) { c.out.stride[2] = 9; }, {"out.stride[2] is 9", "must not overlap", "at least 10"}},
    {[](auto& c) { c.x = TensorView<float, 4>(c.out.data, c.x.extent); }, {"out overlaps x"}},
    {[](auto& c) { c.x = {c.out.data + 1, c.out.extent, c.out.stride}; }, {"out overlaps x"}},
    {[](auto& c) { c.first_position = 3; }, {"first_position is 3", "x.extent[2] is 4", "from -5 to 5"}},
    {[](auto& c) { c.first_position = -6; }, {"first_position is -6", "from -5 to 5"}},
    {[](auto& c) { c.first_position = kMax; }, {"first_position is 9223372036854775807", "from -5 to 5"}},
    {[](auto& c) { c.first_position = kMin; }, {"first_position is -9223372036854775808", "from -5 to 5"}},
};

/// Sound views of a x, an out with gaps and the positions `numbers`.
template <class Check>
void with_sound_call(const std::vector<std::int32_t>& numbers, const Check& check) {
    StridedTensor x({2, 3, 4, 10}, {}, Guard::above);
    RandomNumbers random(test_seed());
    x.fill_normal(random, 1);
    const StridedTensor out({2, 3, 4, 10}, {.gap = {0, 0, 2}}, Guard::above);
    Call call{.x = x.view(), .out = out.view()};
    if (!numbers.empty()) call.positions = {numbers.data(), {2, 4}};
    check(call, out);
}

void check_refused(const Mistake& mistake, const std::vector<std::int32_t>& numbers) {
    const RopeTable table({.dims = 8}, 6);
    with_sound_call(numbers, [&](Call& call, const StridedTensor& out) {
        mistake.make(call);
        check_error([&] { apply_rope(call.x, call.out, table, call.positions, call.first_position); }, mistake.parts);
        CHECK(out.untouched());
    });
}

TEST_CASE("the calls are sound before a mistake is made, up to the last position of the table") {
    const RopeTable table({.dims = 8}, 6);
    for (const std::vector<std::int32_t>& numbers : {std::vector<std::int32_t>{}, {-5, 5, 0, 0, 0, 0, 5, -5}})
        for (const std::int64_t first : {-5, 0, 2})
            with_sound_call(numbers, [&](Call& call, const StridedTensor& out) {
                CHECK(message_of([&] { apply_rope(call.x, call.out, table, call.positions, first); }) == kNoError);
                CHECK(out.gaps_untouched());
            });
}

TEST_CASE("a call that does not fit together") {
    for (const Mistake& mistake : kMistakes) check_refused(mistake, {});
}

TEST_CASE("positions that do not fit") {
    const std::vector<std::int32_t> sound{0, 1, 2, 3, 4, 5, 0, 1};
    const Mistake mistakes[] = {
        {[](auto& c) { c.positions.extent[0] = 3; }, {"positions.extent[0] is 3", "expected 2", "or 1"}},
        {[](auto& c) { c.positions.extent[0] = 0; }, {"positions.extent[0] is 0", "expected 2"}},
        {[](auto& c) { c.positions.extent[0] = -1; }, {"positions.extent[0] is -1", "negative"}},
        {[](auto& c) { c.positions.extent[1] = 3; }, {"positions.extent[1] is 3", "expected 4", "tokens"}},
        {[](auto& c) { c.positions.stride[0] = kMax; }, {"positions.stride[0] is 9223372036854775807", "64 bits"}},
        {[](auto& c) { c.positions.data = reinterpret_cast<const std::int32_t*>(c.out.data + 3); }, {"out overlaps positions"}},
    };
    for (const Mistake& mistake : mistakes) check_refused(mistake, sound);
    const auto nothing = [](Call&) {};
    check_refused({nothing, {"positions[1,2] is 6", "from -5 to 5"}}, {0, 1, 2, 3, 4, 5, 6, 7});
    check_refused({nothing, {"positions[0,3] is -6", "from -5 to 5"}}, {0, 1, 2, -6, 4, 5, 0, 1});
    check_refused({nothing, {"positions[0,0] is -2147483648", "from -5 to 5"}},
                  {std::numeric_limits<std::int32_t>::min(), 1, 2, 0, 4, 5, 0, 1});
}

}  // namespace
}  // namespace headwise::test
