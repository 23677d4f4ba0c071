#include "tests/support/attention_case.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>

#include "headwise/reference.hpp"
#include "tests/support/bound_use.hpp"

namespace headwise::test {
namespace {

void check_accuracy(const AttentionAccuracy& accuracy) {
    const auto& [engine, naive] = accuracy;
    CHECK_MESSAGE(engine.wrong_class == 0, engine.first_wrong);
    CHECK_MESSAGE(engine.max_error <= allowed_error(naive), "error ", engine.max_error, ", of the naive loops ", naive.max_error,
                  ", largest value ", engine.largest, "; ", engine.worst);
}

/// What the engine left in out is within the bound that holds for every call.
void check_bound(const AttentionViews& views, const AttentionOptions& options) {
    const AttentionErrorBound allowed(options, {.query = views.query, .key = views.key, .value = views.value, .out = views.out});
    const BoundUse use = use_of_bound(allowed, views.out);
    CHECK_MESSAGE(use.within(), use.worst);
}

}  // namespace

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

void run_engine(const AttentionViews& views, const AttentionOptions& options) {
    const AttentionPlan plan({.batch = views.query.extent[0],
                              .num_heads = views.query.extent[1],
                              .num_kv_heads = views.key.extent[1],
                              .query_length = views.query.extent[2],
                              .key_length = views.key.extent[2],
                              .head_dim = views.query.extent[3],
                              .value_dim = views.value.extent[3]},
                             options);
    constexpr std::size_t kOffset = 3;
    const GuardedMemory workspace(plan.workspace_bytes() + kOffset, Guard::above);
    plan.run(views.query, views.key, views.value, views.out, std::span(workspace.data() + kOffset, plan.workspace_bytes()));
}

AttentionAccuracy measure_accuracy(const AttentionViews& views, const AttentionOptions& options) {
    const PlainTensor<double> query = widened(views.query), key = widened(views.key), value = widened(views.value);
    PlainTensor<double> expected(views.out.extent);
    reference::attention<double>(query.view, key.view, value.view, expected.view, options);
    PlainTensor<float> naive(views.out.extent);
    reference::attention<float>(views.query, views.key, views.value, naive.view, options);
    return {compare(views.out, expected.view), compare(naive.view, expected.view)};
}

void check_attention(const AttentionViews& views, const AttentionOptions& options) {
    run_engine(views, options);
    check_bound(views, options);
    check_accuracy(measure_accuracy(views, options));
}

void check_attention(const AttentionCase& c, const std::function<void(const AttentionTensors&)>& prepare) {
    INFO(c.text());
    const auto measure = [&](std::uint64_t seed) {
        AttentionCase draw = c;
        draw.seed = seed;
        const AttentionTensors tensors(draw);
        if (prepare) prepare(tensors);
        run_engine(tensors.views(), c.options);
        CHECK_MESSAGE(tensors.out.gaps_untouched(), "written between the rows of out");
        check_bound(tensors.views(), c.options);
        return measure_accuracy(tensors.views(), c.options);
    };
    AttentionAccuracy accuracy = measure(c.seed);
    // A handful of numbers may come out of the naive loops nearly exact by luck. More draws of the same case then tell luck from a
    // fault.
    constexpr std::uint64_t kMoreDraws = 63;
    for (std::uint64_t i = 1; i <= kMoreDraws && accuracy.engine.max_error > allowed_error(accuracy.naive); ++i) {
        const AttentionAccuracy another = measure(c.seed + i);
        accuracy.engine.add(another.engine);
        accuracy.naive.add(another.naive);
    }
    check_accuracy(accuracy);
}

std::vector<std::uint32_t> bits_of(const TensorView<const float, 4>& tensor) {
    std::vector<std::uint32_t> bits;
    for_each_element(tensor.extent,
                     [&](auto... index) { bits.push_back(std::bit_cast<std::uint32_t>(element(tensor, index...))); });
    return bits;
}

}  // namespace headwise::test
