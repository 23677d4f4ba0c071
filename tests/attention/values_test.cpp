// Unusual scales and logits, and NaN and Inf: where the formula has them, and nowhere else.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/support/attention_case.hpp"

namespace headwise::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr Causal kCausal[] = {Causal::none, Causal::top_left, Causal::bottom_right};
constexpr std::int64_t kQueryLengths[] = {1, 7, 70};  // for the kernels of few and of many rows

TEST_CASE("any scale: none, negative, tiny, large") {
    for (const std::int64_t queries : kQueryLengths)
        for (const float scale : {0.0f, -0.0f, -1.0f, 1e-30f, 1e-3f, 3.0f, 40.0f, -40.0f})
            check_attention({.shape = {.num_heads = 4, .query_length = queries, .key_length = 150, .head_dim = 24},
                             .options = {.scale = scale}});
}

TEST_CASE("a scale of 0 averages the values") {
    const AttentionCase c{.shape = {.query_length = 20, .key_length = 8, .head_dim = 5}, .options = {.scale = 0.0f}};
    const AttentionTensors tensors(c);
    for_each_element(tensors.value.view().extent, [&](auto... index) { tensors.value.at(index...) = 3; });
    run_engine(tensors.views(), c.options);
    for_each_element(tensors.out.view().extent, [&](auto... index) { CHECK(tensors.out.at(index...) == 3); });
}

TEST_CASE("the largest scales: 0 times them is 0") {
    for (const float scale : {2e38f, -2e38f})
        for (const std::int64_t queries : kQueryLengths) {
            const AttentionCase c{.shape = {.query_length = queries, .key_length = 150, .head_dim = 24},
                                  .options = {.scale = scale}};
            check_attention(c, [](const AttentionTensors& t) {
                for_each_element(t.query.view().extent, [&](auto... index) { t.query.at(index...) = 0; });
            });
            check_attention(c, [](const AttentionTensors& t) {
                for_each_element(t.query.view().extent, [&](auto... index) { t.query.at(index...) *= 1e-37f; });
            });
        }
}

TEST_CASE("logits that spread over ten thousand: the weight goes to one key") {
    for (const std::int64_t queries : kQueryLengths)
        for (const Causal causal : kCausal)
            check_attention({.shape = {.num_heads = 3, .query_length = queries, .key_length = 300, .head_dim = 32},
                             .options = {.causal = causal},
                             .logit_deviation = 3000});
}

TEST_CASE("all logits equal") {
    for (const std::int64_t queries : kQueryLengths)
        for (const std::int64_t keys : {1, 2, 97, 700})
            check_attention({.shape = {.query_length = queries, .key_length = keys, .head_dim = 16},
                             .key = {.repeated = {false, false, true}}});
}

/// One direction for all queries, and keys along it such that the logits follow a function of the key's index: the running maximum
/// moves as the function says. Nothing here is exact in binary, so that the naive loops round as much as any.
template <class Function>
void check_logits(std::int64_t queries, std::int64_t keys, Function logit) {
    constexpr std::int64_t kDim = 16;
    const AttentionCase c{.shape = {.query_length = queries, .key_length = keys, .head_dim = kDim}, .options = {.scale = 0.3f}};
    check_attention(c, [&](const AttentionTensors& t) {
        double squared_length = 0;
        for (std::int64_t d = 0; d < kDim; ++d) squared_length += std::pow(static_cast<double>(t.query.at(0, 0, 0, d)), 2);
        for_each_element(t.query.view().extent,
                         [&](auto b, auto h, auto s, auto d) { t.query.at(b, h, s, d) = t.query.at(b, h, 0, d); });
        for_each_element(t.key.view().extent, [&](auto b, auto h, auto s, auto d) {
            const double along = logit(s) / (squared_length * 0.3);
            t.key.at(b, h, s, d) = static_cast<float>(along * static_cast<double>(t.query.at(b, h, 0, d)));
        });
    });
}

TEST_CASE("logits that rise or fall along the keys, slowly or fast") {
    for (const std::int64_t queries : kQueryLengths)
        for (const double slope : {0.001, 0.01, 0.05, 0.057, 0.06, 0.1, 1.0, 10.0, 1000.0})
            for (const double sign : {-1.0, 1.0}) {
                INFO("queries " << queries << " slope " << sign * slope);
                check_logits(queries, 1200, [&](std::int64_t key) { return sign * slope * static_cast<double>(key); });
                check_logits(queries, 1200, [&](std::int64_t key) { return sign * slope * static_cast<double>(key) - 1e4; });
            }
}

TEST_CASE("one key far above all others, wherever it stands") {
    for (const std::int64_t queries : kQueryLengths)
        for (const std::int64_t peak : {0, 1, 63, 64, 95, 96, 500, 767, 768, 1199})
            for (const double height : {5.0, 6.0, 50.0, 1e30}) {
                INFO("queries " << queries << " peak " << peak << " height " << height);
                check_logits(queries, 1200, [&](std::int64_t key) { return key == peak ? height : 0.0; });
            }
}

TEST_CASE("huge finite inputs") {
    for (const std::int64_t queries : kQueryLengths)
        check_attention({.shape = {.query_length = queries, .key_length = 200, .head_dim = 8}}, [](const AttentionTensors& t) {
            for_each_element(t.value.view().extent, [&](auto... index) { t.value.at(index...) *= 1e30f; });
            for_each_element(t.key.view().extent, [&](auto... index) { t.key.at(index...) *= 1e18f; });
            for_each_element(t.query.view().extent, [&](auto... index) { t.query.at(index...) *= 1e18f; });
        });
}

TEST_CASE("one NaN or Inf in query, key or value comes out where the formula has it") {
    for (const std::int64_t queries : kQueryLengths)
        for (const Causal causal : kCausal)
            for (const float special : {kNan, kInf, -kInf})
                for (const std::int64_t position : {0, 33, 69})
                    for (int which = 0; which < 3; ++which) {
                        const AttentionCase c{.shape = {.query_length = queries, .key_length = 70, .head_dim = 19},
                                              .options = {.causal = causal}};
                        INFO("tensor " << which << " position " << position << " is " << special);
                        check_attention(c, [&](const AttentionTensors& t) {
                            const StridedTensor& tensor = which == 0 ? t.query : which == 1 ? t.key : t.value;
                            tensor.at(0, 0, position % tensor.view().extent[2], position % 19) = special;
                        });
                    }
}

TEST_CASE("NaN and Inf strewn at random") {
    RandomNumbers random(test_seed());
    for (int i = 0; i < 400; ++i) {
        const AttentionCase c{.shape = {.batch = 2,
                                        .num_heads = 4,
                                        .num_kv_heads = random.one_of({1, 2, 4}),
                                        .query_length = random.between(1, 40),
                                        .key_length = random.between(1, 130),
                                        .head_dim = random.between(1, 34)},
                              .options = {.causal = random.one_of(kCausal)},
                              .logit_deviation = 0.3f,
                              .seed = random.bits()};
        check_attention(c, [&](const AttentionTensors& t) {
            for (const StridedTensor* tensor : {&t.query, &t.key, &t.value})
                for (std::int64_t n = random.between(0, 3); n > 0; --n) {
                    const auto& extent = tensor->view().extent;
                    tensor->at(random.between(0, extent[0] - 1), random.between(0, extent[1] - 1), random.between(0, extent[2] - 1),
                               random.between(0, extent[3] - 1)) = random.one_of({kNan, kInf, -kInf});
                }
        });
    }
}

TEST_CASE("a row whose logits are all -Inf is NaN, as the formula has it") {
    for (const std::int64_t queries : kQueryLengths) {
        const AttentionCase c{.shape = {.query_length = queries, .key_length = 150, .head_dim = 3}};
        const AttentionTensors tensors(c);
        for_each_element(tensors.query.view().extent, [&](auto... index) { tensors.query.at(index...) = 1; });
        for_each_element(tensors.key.view().extent, [&](auto... index) { tensors.key.at(index...) = -kInf; });
        check_attention(tensors.views(), c.options);
        CHECK(std::isnan(tensors.out.at(0, 0, 0, 0)));
    }
}

TEST_CASE("keys whose logit is -Inf count for nothing, even where a whole block of them comes first") {
    for (const std::int64_t queries : kQueryLengths) {
        check_attention({.shape = {.query_length = queries, .key_length = 1300, .head_dim = 3}}, [](const AttentionTensors& t) {
            for_each_element(t.query.view().extent, [&](auto... index) { t.query.at(index...) = std::abs(t.query.at(index...)); });
            for_each_element(t.key.view().extent, [&](auto b, auto h, auto s, auto d) {
                if (s < 1200) t.key.at(b, h, s, d) = -kInf;
            });
        });
    }
}

/// The key at `position` and its value, in every head.
void spoil_key(const AttentionTensors& tensors, std::int64_t position, float with) {
    const auto spoil = [&](const StridedTensor& tensor) {
        for_each_element(tensor.view().extent, [&](auto b, auto h, auto s, auto d) {
            if (s == position) tensor.at(b, h, s, d) = with;
        });
    };
    spoil(tensors.key);
    spoil(tensors.value);
}

TEST_CASE("what a key that a query may not see holds changes none of its bits") {
    for (const std::int64_t queries : {3, 16, 40, 150})
        for (const std::int64_t keys : {3, 40, 110, 150, 700})
            for (const Causal causal : {Causal::top_left, Causal::bottom_right})
                for (const float garbage : {kNan, kInf, -kInf, 1e30f}) {
                    const AttentionCase c{
                        .shape = {.num_heads = 2, .num_kv_heads = 1, .query_length = queries, .key_length = keys, .head_dim = 9},
                        .options = {.causal = causal}};
                    const AttentionTensors clean(c);
                    run_engine(clean.views(), c.options);
                    for (const std::int64_t position : {std::int64_t{0}, keys / 2, keys - 2, keys - 1}) {
                        const AttentionTensors spoilt(c);
                        spoil_key(spoilt, position, garbage);
                        run_engine(spoilt.views(), c.options);
                        const std::int64_t first_seer = position - (causal == Causal::bottom_right ? keys - queries : 0);
                        bool same = true;
                        for_each_element(clean.out.view().extent, [&](auto b, auto h, auto s, auto d) {
                            if (s < first_seer) same &= clean.out.at(b, h, s, d) == spoilt.out.at(b, h, s, d);
                        });
                        INFO(c.text() << " key " << position << " holds " << garbage);
                        CHECK(same);
                    }
                }
}

}  // namespace
}  // namespace headwise::test
