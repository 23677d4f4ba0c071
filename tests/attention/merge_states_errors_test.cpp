// What merge_states refuses: the message names the argument, the value that it had and what was expected; nothing has been written.
#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "headwise/merge_states.hpp"
#include "tests/support/error_message.hpp"
#include "tests/support/strided_tensor.hpp"

namespace headwise::test {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

struct Call {
    AttentionState a, b;
    TensorView<float, 4> out;
    TensorView<float, 3> lse;
};

struct Mistake {
    std::function<void(Call&)> make;
    std::vector<std::string> parts;
};

// All are [2, 3, 4, 10], what is written with gaps of 2 after each row.
const Mistake kMistakes[] = {
    {[](auto& c) { c.a.out.extent[1] = -3; }, {"a.out.extent[1] is -3", "negative"}},
    {[](auto& c) { c.b.log_sum_exp.extent[0] = -2; }, {"b.log_sum_exp.extent[0] is -2", "negative"}},
    {[](auto& c) { c.out.extent[3] = -1; }, {"out.extent[3] is -1", "negative"}},
    {[](auto& c) { c.a.out.data = nullptr; }, {"a.out.data is null"}},
    {[](auto& c) { c.a.log_sum_exp.data = nullptr; }, {"a.log_sum_exp.data is null"}},
    {[](auto& c) { c.b.out.data = nullptr; }, {"b.out.data is null"}},
    {[](auto& c) { c.b.log_sum_exp.data = nullptr; }, {"b.log_sum_exp.data is null"}},
    {[](auto& c) { c.out.data = nullptr; }, {"out.data is null"}},
    {[](auto& c) { c.lse.data = nullptr; }, {"log_sum_exp.data is null"}},
    {[](auto& c) { c.a.out.stride[0] = kMax; }, {"a.out.stride[0] is 9223372036854775807", "64 bits"}},
    {[](auto& c) { c.b.log_sum_exp.stride[2] = kMax; }, {"b.log_sum_exp.stride[2] is 9223372036854775807", "64 bits"}},
    {[](auto& c) { c.lse.stride[1] = kMax; }, {"log_sum_exp.stride[1] is 9223372036854775807", "64 bits"}},
    {[](auto& c) { c.a.out.extent[0] = 1; }, {"a.out.extent[0] is 1", "expected 2", "out.extent[0], the batch"}},
    {[](auto& c) { c.b.out.extent[1] = 2; }, {"b.out.extent[1] is 2", "expected 3", "heads"}},
    {[](auto& c) { c.b.out.extent[2] = 5; }, {"b.out.extent[2] is 5", "expected 4", "queries"}},
    {[](auto& c) { c.a.out.extent[3] = 9; }, {"a.out.extent[3] is 9", "expected 10", "value dimension"}},
    {[](auto& c) { c.a.log_sum_exp.extent[2] = 3; }, {"a.log_sum_exp.extent[2] is 3", "expected 4", "queries"}},
    {[](auto& c) { c.lse.extent[1] = 1; }, {"log_sum_exp.extent[1] is 1", "expected 3", "heads"}},
    {[](auto& c) { c.a.out.stride[3] = 2; }, {"a.out.stride[3] is 2", "stride 1"}},
    {[](auto& c) { c.b.out.stride[3] = 0; }, {"b.out.stride[3] is 0", "stride 1"}},
    {[](auto& c) { c.out.stride[3] = -1; }, {"out.stride[3] is -1", "stride 1"}},
    {[](auto& c) { c.out.stride[0] = 0; }, {"out.stride[0] is 0", "must not overlap"}},
    {[](auto& c) { c.lse.stride[2] = 0; }, {"log_sum_exp.stride[2] is 0", "must not overlap"}},
    {[](auto& c) { c.a.out = {c.out.data + 1, c.out.extent, c.out.stride}; }, {"out overlaps a.out"}},
    {[](auto& c) { c.b.out = TensorView<float, 4>(c.out.data, c.out.extent); }, {"out overlaps b.out"}},
    {[](auto& c) { c.a.log_sum_exp = {c.lse.data + 3, c.lse.extent, c.lse.stride}; }, {"log_sum_exp overlaps a.log_sum_exp"}},
    {[](auto& c) { c.b.log_sum_exp = {c.lse.data, c.lse.extent, {0, 0, 1}}; }, {"log_sum_exp overlaps b.log_sum_exp"}},
    {[](auto& c) { c.a.log_sum_exp = {c.out.data, c.lse.extent, {36, 12, 1}}; }, {"out overlaps a.log_sum_exp"}},
    {[](auto& c) { c.b.log_sum_exp = {c.out.data + 9, c.lse.extent, c.lse.stride}; }, {"out overlaps b.log_sum_exp"}},
    {[](auto& c) { c.a.out = {c.lse.data, c.out.extent, {0, 0, 0, 1}}; }, {"log_sum_exp overlaps a.out"}},
    {[](auto& c) { c.b.out = {c.lse.data + 5, c.out.extent, {0, 0, 0, 1}}; }, {"log_sum_exp overlaps b.out"}},
    {[](auto& c) { c.lse = {c.out.data, c.lse.extent, {36, 12, 1}}; }, {"out overlaps log_sum_exp"}},
};

struct Tensors {
    static constexpr Layout kGaps{.gap = {0, 0, 2}};
    StridedTensor a_out{{2, 3, 4, 10}, {}, Guard::above}, b_out = {{2, 3, 4, 10}, {}, Guard::above};
    StridedTensor a_lse{{2, 3, 4, 1}, {}, Guard::above}, b_lse = {{2, 3, 4, 1}, {}, Guard::above};
    StridedTensor out{{2, 3, 4, 10}, kGaps, Guard::above}, lse{{2, 3, 4, 1}, kGaps, Guard::above};

    Tensors() {
        RandomNumbers random(test_seed());
        for (StridedTensor* x : {&a_out, &b_out, &a_lse, &b_lse}) x->fill_normal(random, 1);
    }
    Call call() const {
        const auto rows = [](const StridedTensor& x) {
            const auto view = x.view();
            return TensorView<float, 3>(view.data, {2, 3, 4}, {view.stride[0], view.stride[1], view.stride[2]});
        };
        return {{a_out.view(), rows(a_lse)}, {b_out.view(), rows(b_lse)}, out.view(), rows(lse)};
    }
};

std::string message_of_merge(const Call& call) {
    return message_of([&] { merge_states(call.a, call.b, call.out, call.lse); });
}

TEST_CASE("the call is sound before a mistake is made") {
    CHECK(message_of_merge(Tensors().call()) == kNoError);
}

TEST_CASE("states that do not fit together") {
    for (const Mistake& mistake : kMistakes) {
        const Tensors tensors;
        Call call = tensors.call();
        mistake.make(call);
        check_message(message_of_merge(call), mistake.parts);
        CHECK(tensors.out.untouched());
        CHECK(tensors.lse.untouched());
    }
}

TEST_CASE("log_sum_exp may lie between the rows of its out") {
    // [2, 3, 4] rows of 10 elements, one log_sum_exp and one spare each.
    std::vector<float> memory(2 * 3 * 4 * 12, 1.0f);
    Tensors tensors;
    Call call = tensors.call();
    call.out = {memory.data(), {2, 3, 4, 10}, {144, 48, 12, 1}};
    call.lse = {memory.data() + 10, {2, 3, 4}, {144, 48, 12}};
    CHECK(message_of_merge(call) == kNoError);
    call.a = {call.out, call.lse};
    CHECK(message_of_merge(call) == kNoError);
    for (std::size_t row = 0; row < memory.size() / 12; ++row) CHECK(memory[12 * row + 11] == 1);
}

}  // namespace
}  // namespace headwise::test
