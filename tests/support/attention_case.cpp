#include "tests/support/attention_case.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>

#include "headwise/reference.hpp"

namespace headwise::test {

std::string AttentionCase::text() const {
    constexpr const char* kCausal[] = {"none", "top-left", "bottom-right"};
    const auto& s = shape;
    return "b=" + std::to_string(s.batch) + ",hq=" + std::to_string(s.num_heads) + ",hkv=" + std::to_string(s.num_kv_heads) +
           ",sq=" + std::to_string(s.query_length) + ",skv=" + std::to_string(s.key_length) + ",d=" + std::to_string(s.head_dim) +
           ",dv=" + std::to_string(value_dim()) + ",causal=" + kCausal[static_cast<int>(options.causal)] +
           (options.scale ? ",scale=" + std::to_string(*options.scale) : "") + " query " + query.text() + " key " + key.text() +
           " value " + value.text() + " out " + out.text() + (guard == Guard::above ? " guard above" : " guard below") + "\n" +
           reproduction(seed);
}

AttentionTensors::AttentionTensors(const AttentionCase& c)
    : query({c.shape.batch, c.shape.num_heads, c.shape.query_length, c.shape.head_dim}, c.query, c.guard),
      key({c.shape.batch, c.shape.num_kv_heads, c.shape.key_length, c.shape.head_dim}, c.key, c.guard),
      value({c.shape.batch, c.shape.num_kv_heads, c.shape.key_length, c.value_dim()}, c.value, c.guard),
      out({c.shape.batch, c.shape.num_heads, c.shape.query_length, c.value_dim()}, c.out, c.guard) {
    RandomNumbers random(c.seed);
    query.fill_normal(random, c.logit_deviation);
    key.fill_normal(random, 1);
    value.fill_normal(random, 1);
}

void run_engine(const AttentionCase& c, const AttentionTensors& tensors) {
    const AttentionPlan plan(c.shape, c.options);
    constexpr std::size_t kOffset = 3;
    const GuardedMemory workspace(plan.workspace_bytes() + kOffset, Guard::above);
    plan.run(tensors.query.view(), tensors.key.view(), tensors.value.view(), tensors.out.view(),
             std::span(workspace.data() + kOffset, plan.workspace_bytes()));
}

AttentionAccuracy measure_accuracy(const AttentionCase& c, const AttentionTensors& tensors) {
    const PlainTensor<double> query = widened(tensors.query.view()), key = widened(tensors.key.view()),
                              value = widened(tensors.value.view());
    PlainTensor<double> expected(tensors.out.view().extent);
    reference::attention<double>(query.view, key.view, value.view, expected.view, c.options);
    PlainTensor<float> naive(expected.view.extent);
    reference::attention<float>(tensors.query.view(), tensors.key.view(), tensors.value.view(), naive.view, c.options);
    return {compare(tensors.out.view(), expected.view), compare(naive.view, expected.view)};
}

void check_attention(const AttentionCase& c, const AttentionTensors& tensors) {
    INFO(c.text());
    run_engine(c, tensors);
    const AttentionAccuracy accuracy = measure_accuracy(c, tensors);
    CHECK_MESSAGE(accuracy.engine.wrong_class == 0, accuracy.engine.first_wrong);
    CHECK_MESSAGE(accuracy.engine.max_error <= allowed_error(accuracy.naive), "error ", accuracy.engine.max_error,
                  ", of the naive loops ", accuracy.naive.max_error, ", largest value ", accuracy.engine.largest, "; ",
                  accuracy.engine.worst);
    CHECK_MESSAGE(tensors.out.gaps_untouched(), "written between the rows of out");
}

void check_attention(const AttentionCase& c) {
    check_attention(c, AttentionTensors(c));
}

std::vector<std::uint32_t> bits_of(const TensorView<const float, 4>& tensor) {
    std::vector<std::uint32_t> bits;
    for_each_element(tensor.extent,
                     [&](auto... index) { bits.push_back(std::bit_cast<std::uint32_t>(element(tensor, index...))); });
    return bits;
}

}  // namespace headwise::test
