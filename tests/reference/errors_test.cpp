#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "headwise/error.hpp"
#include "headwise/reference.hpp"
#include "tests/support/error_message.hpp"

namespace headwise::test {
namespace {

TEST_CASE("matmul") {
    std::vector<float> memory(100);
    const auto view = [&](std::int64_t at, std::int64_t rows, std::int64_t columns) {
        return TensorView<float, 2>(memory.data() + at, {rows, columns});
    };
    const auto product = [](const TensorView<const float, 2>& a, const TensorView<const float, 2>& b,
                            const TensorView<float, 2>& c) { return [=] { reference::matmul(a, b, c); }; };
    check_error(product(view(0, 2, 3), view(10, 4, 2), view(50, 2, 2)), {"b.extent[0] is 4", "expected 3"});
    check_error(product(view(0, 2, 3), view(10, 3, 2), view(50, 3, 2)), {"c.extent[0] is 3", "expected 2"});
    check_error(product(view(0, 2, 3), view(10, 3, 2), view(50, 2, 5)), {"c.extent[1] is 5", "expected 2"});
    check_error(product(view(0, 2, 3), view(10, 3, 2), view(5, 2, 2)), {"c overlaps a"});
    check_error(product(view(0, 2, 3), view(10, 3, 2), view(15, 2, 2)), {"c overlaps b"});
    check_error(product({nullptr, {2, 3}}, view(10, 3, 2), view(50, 2, 2)), {"a.data is null"});
    check_error(product(view(0, 2, 3), view(10, 3, 2), {memory.data() + 50, {2, 2}, {1, 1}}), {"c.stride", "must not overlap"});
}

TEST_CASE("softmax") {
    std::vector<double> memory(10);
    check_error([&] { reference::softmax(TensorView<double, 2>(nullptr, {1, 3})); }, {"x.data is null"});
    check_error([&] { reference::softmax(TensorView<double, 2>(memory.data(), {-1, 3})); }, {"x.extent[0] is -1", "negative"});
    check_error([&] { reference::softmax(TensorView<double, 2>(memory.data(), {2, 3}, {0, 1})); },
                {"x.stride[0] is 0", "must not overlap"});
}

TEST_CASE("attention") {
    std::vector<double> memory(1000);
    struct Views {
        TensorView<double, 4> query, key, value, out;
    };
    struct Mistake {
        std::function<void(Views&)> make;
        std::vector<std::string> parts;
    };
    const Mistake mistakes[] = {
        {[](Views& v) { v.key.extent[0] = 1; }, {"key.extent[0] is 1", "expected 2"}},
        {[](Views& v) { v.key.extent[1] = 3; }, {"query.extent[1] is 4", "key.extent[1] is 3", "multiple"}},
        {[](Views& v) { v.key.extent[1] = 0; }, {"key.extent[1] is 0", "expected 1 to"}},
        {[](Views& v) { v.key.extent[3] = 4; }, {"key.extent[3] is 4", "expected 3"}},
        {[](Views& v) { v.query.extent[3] = v.key.extent[3] = 0; }, {"query.extent[3] is 0"}},
        {[](Views& v) { v.value.extent[0] = 3; }, {"value.extent[0] is 3", "expected 2"}},
        {[](Views& v) { v.value.extent[1] = 4; }, {"value.extent[1] is 4", "expected 2"}},
        {[](Views& v) { v.value.extent[2] = 4; }, {"key.extent[2] is 5", "value.extent[2] is 4", "must match"}},
        {[](Views& v) { v.out.extent[0] = 1; }, {"out.extent[0] is 1", "expected 2"}},
        {[](Views& v) { v.out.extent[1] = 2; }, {"out.extent[1] is 2", "expected 4"}},
        {[](Views& v) { v.out.extent[2] = 5; }, {"out.extent[2] is 5", "expected 2"}},
        {[](Views& v) { v.out.extent[3] = 3; }, {"out.extent[3] is 3", "expected 1"}},
        {[](Views& v) { v.value.data = nullptr; }, {"value.data is null"}},
        {[](Views& v) { v.out.data = v.key.data; }, {"out overlaps key"}},
        {[](Views& v) { v.out.stride[1] = 0; }, {"out.stride[1] is 0", "must not overlap"}},
    };
    for (const Mistake& mistake : mistakes) {
        Views v{{memory.data(), {2, 4, 2, 3}},
                {memory.data() + 100, {2, 2, 5, 3}},
                {memory.data() + 200, {2, 2, 5, 1}},
                {memory.data() + 300, {2, 4, 2, 1}}};
        mistake.make(v);
        check_error([&] { reference::attention<double>(v.query, v.key, v.value, v.out); }, mistake.parts);
    }
}

TEST_CASE("multi_head_attention") {
    std::vector<float> memory(1000);
    struct Arguments {
        TensorView<float, 3> x, context;
        std::int64_t num_heads, num_kv_heads;
        reference::MultiHeadWeights<float> weights;
        TensorView<float, 3> out;
    };
    struct Mistake {
        std::function<void(Arguments&)> make;
        std::vector<std::string> parts;
    };
    const Mistake mistakes[] = {
        {[](Arguments& a) { a.num_heads = 3; }, {"num_heads is 3", "num_kv_heads is 2", "multiple"}},
        {[](Arguments& a) { a.num_kv_heads = 0; }, {"num_kv_heads is 0"}},
        {[](Arguments& a) { a.weights.query.extent[0] = 9; }, {"weights.query.extent[0] is 9", "num_heads is 4"}},
        {[](Arguments& a) { a.weights.key.extent[0] = 6; }, {"weights.key.extent[0] is 6", "expected 4"}},
        {[](Arguments& a) { a.weights.query.extent[1] = 5; }, {"weights.query.extent[1] is 5", "expected 6"}},
        {[](Arguments& a) { a.weights.value.extent[1] = 5; }, {"weights.value.extent[1] is 5", "expected 7"}},
        {[](Arguments& a) { a.weights.output.extent[1] = 8; }, {"weights.output.extent[1] is 8", "expected 12"}},
        {[](Arguments& a) { a.context.extent[0] = 2; }, {"context.extent[0] is 2", "expected 1"}},
        {[](Arguments& a) { a.out.extent[2] = 4; }, {"out.extent[2] is 4", "expected 5"}},
        {[](Arguments& a) { a.out.data = a.x.data; }, {"out overlaps x"}},
        {[](Arguments& a) { a.weights.output.data = nullptr; }, {"weights.output.data is null"}},
    };
    for (const Mistake& mistake : mistakes) {
        Arguments a{.x = {memory.data(), {1, 2, 6}},
                    .context = {memory.data() + 100, {1, 3, 7}},
                    .num_heads = 4,
                    .num_kv_heads = 2,
                    .weights = {.query = TensorView<float, 2>(memory.data() + 200, {8, 6}),
                                .key = TensorView<float, 2>(memory.data() + 300, {4, 7}),
                                .value = TensorView<float, 2>(memory.data() + 400, {6, 7}),
                                .output = TensorView<float, 2>(memory.data() + 500, {5, 12})},
                    .out = {memory.data() + 600, {1, 2, 5}}};
        mistake.make(a);
        check_error([&] { reference::multi_head_attention<float>(a.x, a.context, a.num_heads, a.num_kv_heads, a.weights, a.out); },
                    mistake.parts);
    }
}

}  // namespace
}  // namespace headwise::test
