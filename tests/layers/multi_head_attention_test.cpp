#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "headwise/error.hpp"
#include "headwise/multi_head_attention.hpp"
#include "headwise/profile.hpp"
#include "headwise/reference.hpp"
#include "tests/support/accuracy.hpp"
#include "tests/support/error_message.hpp"
#include "tests/support/random_numbers.hpp"
#include "tests/support/strided_tensor.hpp"

namespace headwise::test {
namespace {

struct LayerCase {
    std::int64_t batch = 1, length = 1, context_length = 0;  // context_length 0: self-attention
    std::int64_t model_dim = 8, context_dim = 8, out_dim = 8;
    std::int64_t num_heads = 1, num_kv_heads = 1, head_dim = 8, value_dim = 8;
    bool packed = false, biases = true;
    Causal causal = Causal::none;
    std::optional<float> scale{};

    bool self() const { return context_length == 0; }
    std::string text() const {
        return "b=" + std::to_string(batch) + " s=" + std::to_string(length) + " c=" + std::to_string(context_length) +
               " e=" + std::to_string(model_dim) + " ec=" + std::to_string(context_dim) + " eo=" + std::to_string(out_dim) +
               " hq=" + std::to_string(num_heads) + " hkv=" + std::to_string(num_kv_heads) + " d=" + std::to_string(head_dim) +
               " dv=" + std::to_string(value_dim) + (packed ? " packed" : "") + (biases ? " biases" : "") +
               " causal=" + std::to_string(static_cast<int>(causal)) + "\n" + reproduction(test_seed());
    }
};

/// The weights and inputs of a case in float, with the rows of query, key and value weights one below the other, and their double
/// copies.
struct LayerData {
    std::vector<float> qkv, qkv_bias, output, output_bias, x, context;

    explicit LayerData(const LayerCase& c) {
        RandomNumbers random(test_seed());
        const auto fill = [&](std::vector<float>& v, std::int64_t count, float deviation) {
            v.resize(static_cast<std::size_t>(count));
            for (float& value : v) value = deviation * random.normal();
        };
        const std::int64_t rows = c.num_heads * c.head_dim + c.num_kv_heads * (c.head_dim + c.value_dim);
        fill(qkv, rows * std::max(c.model_dim, c.context_dim), 0.3f);
        fill(qkv_bias, rows, 0.3f);
        fill(output, c.out_dim * c.num_heads * c.value_dim, 0.3f);
        fill(output_bias, c.out_dim, 0.3f);
        fill(x, c.batch * c.length * c.model_dim, 1);
        fill(context, c.batch * c.context_length * c.context_dim, 1);
    }
};

template <class T>
std::vector<T> converted(const std::vector<float>& from) {
    return {from.begin(), from.end()};
}

/// The layer as the reference computes it in T.
template <class T>
PlainTensor<T> expected_of(const LayerCase& c, const LayerData& data) {
    const auto qkv = converted<T>(data.qkv), bias = converted<T>(data.qkv_bias), output = converted<T>(data.output),
               output_bias = converted<T>(data.output_bias), x = converted<T>(data.x), context = converted<T>(data.context);
    const std::int64_t queries = c.num_heads * c.head_dim, keys = c.num_kv_heads * c.head_dim,
                       values = c.num_kv_heads * c.value_dim;
    const T* key = qkv.data() + queries * c.model_dim;
    const reference::MultiHeadWeights<T> weights{.query = {qkv.data(), {queries, c.model_dim}},
                                                 .key = {key, {keys, c.context_dim}},
                                                 .value = {key + keys * c.context_dim, {values, c.context_dim}},
                                                 .output = {output.data(), {c.out_dim, c.num_heads * c.value_dim}},
                                                 .query_bias = c.biases ? bias.data() : nullptr,
                                                 .key_bias = c.biases ? bias.data() + queries : nullptr,
                                                 .value_bias = c.biases ? bias.data() + queries + keys : nullptr,
                                                 .output_bias = c.biases ? output_bias.data() : nullptr};
    const TensorView<const T, 3> x_view(x.data(), {c.batch, c.length, c.model_dim});
    const TensorView<const T, 3> context_view =
        c.self() ? x_view : TensorView<const T, 3>(context.data(), {c.batch, c.context_length, c.context_dim});
    PlainTensor<T> out({1, c.batch, c.length, c.out_dim});
    reference::multi_head_attention<T>(x_view, context_view, c.num_heads, c.num_kv_heads, weights,
                                       TensorView<T, 3>(out.data.data(), {c.batch, c.length, c.out_dim}),
                                       {.causal = c.causal, .scale = c.scale});
    return out;
}

MultiHeadAttention make_layer(const LayerCase& c, const LayerData& data) {
    const std::int64_t queries = c.num_heads * c.head_dim, keys = c.num_kv_heads * c.head_dim,
                       values = c.num_kv_heads * c.value_dim;
    MultiHeadAttentionWeights weights{.output = {data.output.data(), {c.out_dim, c.num_heads * c.value_dim}}};
    if (c.biases) weights.output_bias = data.output_bias.data();
    if (c.packed) {
        weights.qkv = {data.qkv.data(), {queries + keys + values, c.model_dim}};
        if (c.biases) weights.qkv_bias = data.qkv_bias.data();
    } else {
        const float* key = data.qkv.data() + queries * c.model_dim;
        weights.query = {data.qkv.data(), {queries, c.model_dim}};
        weights.key = {key, {keys, c.context_dim}};
        weights.value = {key + keys * c.context_dim, {values, c.context_dim}};
        if (c.biases) {
            weights.query_bias = data.qkv_bias.data();
            weights.key_bias = data.qkv_bias.data() + queries;
            weights.value_bias = data.qkv_bias.data() + queries + keys;
        }
    }
    return {{.num_heads = c.num_heads, .num_kv_heads = c.num_kv_heads, .head_dim = c.head_dim, .value_dim = c.value_dim},
            weights,
            {.causal = c.causal, .scale = c.scale}};
}

PlainTensor<float> run_layer(const LayerCase& c, const LayerData& data, const MultiHeadAttention& layer) {
    PlainTensor<float> out({1, c.batch, c.length, c.out_dim});
    const TensorView<const float, 3> x(data.x.data(), {c.batch, c.length, c.model_dim});
    const TensorView<float, 3> out_view(out.data.data(), {c.batch, c.length, c.out_dim});
    if (c.self())
        layer.forward(x, out_view);
    else
        layer.forward(x, TensorView<const float, 3>(data.context.data(), {c.batch, c.context_length, c.context_dim}), out_view);
    return out;
}

void check_layer(const LayerCase& c) {
    INFO(c.text());
    const LayerData data(c);
    const PlainTensor<float> out = run_layer(c, data, make_layer(c, data));
    const PlainTensor<double> expected = expected_of<double>(c, data);
    const Accuracy engine = compare(out.view, expected.view), naive = compare(expected_of<float>(c, data).view, expected.view);
    CHECK_MESSAGE(engine.wrong_class == 0, engine.first_wrong);
    CHECK_MESSAGE(engine.max_error <= allowed_error(naive), "error ", engine.max_error, ", of the naive loops ", naive.max_error,
                  "; ", engine.worst);
}

TEST_CASE("self-attention with separate weights and with one packed weight") {
    for (const bool packed : {false, true})
        for (const bool biases : {false, true})
            for (const std::int64_t length : {1, 5, 70})
                for (const Causal causal : {Causal::none, Causal::bottom_right})
                    check_layer({.batch = 2,
                                 .length = length,
                                 .model_dim = 48,
                                 .context_dim = 48,
                                 .out_dim = 40,
                                 .num_heads = 6,
                                 .num_kv_heads = 6,
                                 .head_dim = 16,
                                 .value_dim = 16,
                                 .packed = packed,
                                 .biases = biases,
                                 .causal = causal});
}

TEST_CASE("grouped heads, and values of another dimension") {
    for (const bool packed : {false, true})
        check_layer({.batch = 2,
                     .length = 33,
                     .model_dim = 30,
                     .context_dim = 30,
                     .out_dim = 17,
                     .num_heads = 6,
                     .num_kv_heads = 2,
                     .head_dim = 10,
                     .value_dim = 13,
                     .packed = packed,
                     .causal = Causal::top_left,
                     .scale = 0.2f});
}

TEST_CASE("cross-attention to a context of another length and dimension") {
    for (const std::int64_t context_length : {1, 7, 90})
        for (const bool biases : {false, true})
            check_layer({.batch = 3,
                         .length = 20,
                         .context_length = context_length,
                         .model_dim = 24,
                         .context_dim = 37,
                         .out_dim = 24,
                         .num_heads = 4,
                         .num_kv_heads = 2,
                         .head_dim = 8,
                         .value_dim = 8,
                         .biases = biases});
}

TEST_CASE("the width of a small model") {
    check_layer({.batch = 1,
                 .length = 64,
                 .model_dim = 384,
                 .context_dim = 384,
                 .out_dim = 384,
                 .num_heads = 12,
                 .num_kv_heads = 12,
                 .head_dim = 32,
                 .value_dim = 32,
                 .packed = true});
}

TEST_CASE("packed and separate weights give the same bits, on every run and in any batch") {
    LayerCase c{.batch = 3,
                .length = 40,
                .model_dim = 48,
                .context_dim = 48,
                .out_dim = 48,
                .num_heads = 4,
                .num_kv_heads = 4,
                .head_dim = 12,
                .value_dim = 12};
    const LayerData data(c);
    const MultiHeadAttention layer = make_layer(c, data);
    const auto first = run_layer(c, data, layer).data;
    CHECK(run_layer(c, data, layer).data == first);

    LayerCase alone = c;
    alone.batch = 1;
    const auto single = run_layer(alone, data, layer).data;
    CHECK(std::equal(single.begin(), single.end(), first.begin()));
}

TEST_CASE("a layer keeps the ISA that was active when it was made") {
    const Isa before = active_isa();
    const LayerCase c{.length = 40, .num_heads = 2, .num_kv_heads = 2};
    const LayerData data(c);
    const MultiHeadAttention layer = make_layer(c, data);
    const auto expected = run_layer(c, data, layer).data;
    for (const Isa other : available_isas()) {
        set_isa(other);
        CHECK(run_layer(c, data, layer).data == expected);
    }
    set_isa(before);
}

TEST_CASE("rows of x, context and out with gaps between them") {
    const LayerCase c{
        .batch = 2, .length = 9, .model_dim = 16, .context_dim = 16, .out_dim = 12, .num_heads = 2, .num_kv_heads = 2};
    const LayerData data(c);
    const MultiHeadAttention layer = make_layer(c, data);
    const auto expected = run_layer(c, data, layer).data;

    const Layout gaps{.gap = {0, 3, 5}};
    const StridedTensor x({1, 2, 9, 16}, gaps, Guard::above), out({1, 2, 9, 12}, gaps, Guard::below);
    for_each_element(x.view().extent, [&](auto b, auto i, auto s, auto d) {
        x.at(b, i, s, d) = data.x[static_cast<std::size_t>((i * 9 + s) * 16 + d)];
    });
    const auto view = [](const StridedTensor& t) {
        const auto v = t.view();
        return TensorView<float, 3>(v.data, {v.extent[1], v.extent[2], v.extent[3]}, {v.stride[1], v.stride[2], v.stride[3]});
    };
    layer.forward(view(x), view(out));
    std::size_t i = 0;
    for_each_element(out.view().extent, [&](auto... index) { CHECK(out.at(index...) == expected[i++]); });
    CHECK(out.gaps_untouched());
}

TEST_CASE("weights that do not fit are refused") {
    const std::vector<float> memory(1000);
    const auto matrix = [&](std::int64_t rows, std::int64_t columns) {
        return TensorView<const float, 2>(memory.data(), {rows, columns});
    };
    const MultiHeadAttentionShape shape{.num_heads = 2, .num_kv_heads = 2, .head_dim = 4};
    const MultiHeadAttentionWeights good{.query = matrix(8, 6), .key = matrix(8, 6), .value = matrix(8, 6), .output = matrix(5, 8)};
    CHECK_NOTHROW(MultiHeadAttention(shape, good));
    const auto refuse = [&](auto change, const std::vector<std::string>& parts) {
        MultiHeadAttentionWeights weights = good;
        change(weights);
        check_error([&] { MultiHeadAttention layer(shape, weights); }, parts);
    };
    refuse([&](auto& w) { w.query = matrix(7, 6); }, {"query", "7", "8"});
    refuse([&](auto& w) { w.key = matrix(9, 6); }, {"key", "9", "8"});
    refuse([&](auto& w) { w.value = matrix(4, 6); }, {"value", "4", "8"});
    refuse([&](auto& w) { w.value = matrix(8, 5); }, {"value", "5", "6"});
    refuse([&](auto& w) { w.output = matrix(5, 9); }, {"output", "9", "8"});
    refuse([&](auto& w) { w.output.data = nullptr; }, {"output", "null"});
    refuse([&](auto& w) { w.key.data = nullptr; }, {"key", "null"});
    refuse([&](auto& w) { w.qkv = matrix(24, 6); }, {"qkv"});
    check_error([&] { MultiHeadAttention layer({.num_heads = 3, .num_kv_heads = 2, .head_dim = 4}, good); },
                {"num_heads is 3", "num_kv_heads is 2", "multiple"});
}

TEST_CASE("inputs that do not fit are refused before anything is written") {
    const LayerCase c{.batch = 2,
                      .length = 3,
                      .model_dim = 6,
                      .context_dim = 6,
                      .out_dim = 5,
                      .num_heads = 2,
                      .num_kv_heads = 2,
                      .head_dim = 4,
                      .value_dim = 4};
    const LayerData data(c);
    const MultiHeadAttention layer = make_layer(c, data);
    std::vector<float> out(30, 7);
    const auto x = [&](std::int64_t b, std::int64_t s, std::int64_t e) {
        return TensorView<const float, 3>(data.x.data(), {b, s, e});
    };
    const auto y = [&](std::int64_t b, std::int64_t s, std::int64_t e) { return TensorView<float, 3>(out.data(), {b, s, e}); };
    check_error([&] { layer.forward(x(2, 3, 5), y(2, 3, 5)); }, {"x.extent[2] is 5", "6"});
    check_error([&] { layer.forward(x(2, 3, 6), y(1, 3, 5)); }, {"out.extent[0] is 1", "2"});
    check_error([&] { layer.forward(x(2, 3, 6), y(2, 2, 5)); }, {"out.extent[1] is 2", "3"});
    check_error([&] { layer.forward(x(2, 3, 6), y(2, 3, 4)); }, {"out.extent[2] is 4", "5"});
    check_error([&] { layer.forward(x(2, 3, 6), x(1, 3, 6), y(2, 3, 5)); }, {"context.extent[0] is 1", "2"});
    check_error([&] { layer.forward({nullptr, {2, 3, 6}}, y(2, 3, 5)); }, {"x.data is null"});
    check_error([&] { layer.forward(TensorView<const float, 3>(out.data(), {2, 2, 6}), y(2, 2, 5)); }, {"out overlaps x"});
    CHECK(out == std::vector<float>(30, 7));
}

TEST_CASE("a profile holds the products of the layer and its attention, in their order") {
    for (const bool packed : {false, true}) {
        const LayerCase c{.length = 70, .num_heads = 2, .num_kv_heads = 2, .packed = packed};
        const LayerData data(c);
        const MultiHeadAttention layer = make_layer(c, data);
        Profile profile;
        {
            const ProfileScope scope(profile);
            run_layer(c, data, layer);
        }
        std::vector<std::string> operations;
        std::vector<double> flops(profile.runs().size());
        for (const RunRecord& run : profile.runs()) operations.emplace_back(run.operation);
        for (int worker = 0; worker < profile.workers(); ++worker)
            for (const TaskRecord& task : profile.tasks(worker)) flops[static_cast<std::size_t>(task.run)] += task.flops;
        // 8 features of the model, and of each of two heads.
        const double one = 2 * 70 * 8 * 16, attention = 2 * 2 * (8 + 8) * 70 * 70;
        if (packed) {
            CHECK(operations == std::vector<std::string>{"matmul", "attention", "matmul"});
            CHECK(flops == std::vector<double>{3 * one, attention, one});
        } else {
            CHECK(operations == std::vector<std::string>{"matmul", "matmul", "matmul", "attention", "matmul"});
            CHECK(flops == std::vector<double>{one, one, one, attention, one});
        }
    }
}

}  // namespace
}  // namespace headwise::test
