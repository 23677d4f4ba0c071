#include "variants/value_suite.hpp"

#include <fmt/format.h>

#include <functional>
#include <limits>
#include <utility>

#include "variants/bytes.hpp"
#include "variants/values.hpp"

namespace headwise::tools {
namespace {

// Finite logits may take no longer, but for noise. Denormal inputs may on some processors, but no user should notice.
constexpr double kLogitGoal = 0.05, kDenormalGoal = 1.0;

constexpr float kLowest = std::numeric_limits<float>::lowest(), kInfinity = std::numeric_limits<float>::infinity();
// Times a normal number of at most 3.5: below 2^-126 = 1.2e-38. And what becomes denormal when multiplied by its like, or by a
// weight.
constexpr float kDenormal = 1e-39f, kSquareRootOfDenormal = 1e-20f, kSmallNormal = 5e-38f;

constexpr std::int64_t kTopWeights = 8;

using Vary = std::function<void(VariantWorkload&)>;

/// `computes` goes first.
std::vector<Variant> computing(const Vary& computes, MoreBytes more, std::vector<Variant> variants) {
    for (Variant& v : variants) {
        v.more = more;
        v.vary = [computes, vary = v.vary](VariantWorkload& w) {
            computes(w);
            vary(w);
        };
    }
    return variants;
}

Variant apart(double logits) {
    return {fmt::format("logits {:g} apart", logits), [=](VariantWorkload& w) { spread_logits(w, logits); }, kLogitGoal};
}

Variant bias(const char* name, float value) {
    return {fmt::format("bias {}, every other key", name), [=](VariantWorkload& w) { bias_every_other_key(w, value); }, kLogitGoal};
}

Variant denormal(const char* name, const Vary& vary) {
    return {name, vary, kDenormalGoal};
}

/// What attention and its weights have in common.
std::vector<Variant> logit_variants() {
    std::vector<Variant> variants;
    for (const double logits : {0., 10., 90., 1e3, 1e4, 1e6, 1e9, 1e17}) variants.push_back(apart(logits));
    for (const float value : {0.f, -50.f, -90.f, -95.f, -100.f, -110.f, -1e4f})
        variants.push_back(bias(fmt::format("{:g}", value).c_str(), value));
    variants.push_back(bias("lowest", kLowest));
    variants.push_back(
        {"bias -100, later half of the keys", [](VariantWorkload& w) { bias_falling_at_half(w, -100); }, kLogitGoal});
    variants.push_back({"bias rising by 2 a key", [](VariantWorkload& w) { bias_rising_by(w, 2); }, kLogitGoal});
    variants.push_back({"ALiBi of slope 1", [](VariantWorkload& w) { set_steep_alibi(w, 1); }, kLogitGoal});
    variants.push_back({"logits 10000 apart, softcap", [](VariantWorkload& w) { spread_capped_logits(w, 1e4); }, kLogitGoal});
    variants.push_back({"sinks of 100", [](VariantWorkload& w) { set_large_sinks(w, 100); }, kLogitGoal});
    variants.push_back(denormal("queries denormal", [](VariantWorkload& w) { multiply_queries(w, kDenormal); }));
    variants.push_back(denormal("keys denormal", [](VariantWorkload& w) { multiply_keys(w, kDenormal); }));
    variants.push_back(denormal("products of both denormal", [](VariantWorkload& w) {
        multiply_queries(w, kSquareRootOfDenormal);
        multiply_keys(w, kSquareRootOfDenormal);
    }));
    return variants;
}

std::vector<Variant> attention_variants() {
    std::vector<Variant> variants = logit_variants();
    variants.push_back(denormal("values denormal", [](VariantWorkload& w) { multiply_values(w, kDenormal); }));
    variants.push_back(denormal("weights times values denormal", [](VariantWorkload& w) { multiply_values(w, kSmallNormal); }));
    variants.push_back({"NaN behind a mask", hide_nan});
    for (Variant& v : variants) v.more = bytes_of_values;
    return variants;
}

std::vector<Variant> top_weight_variants() {
    return {apart(0),
            apart(90),
            apart(1e17),
            bias("-100", -100),
            {"weights rising with the key", [](VariantWorkload& w) { bias_rising_by(w, 0.1f); }, kLogitGoal},
            {"weights falling with the key", [](VariantWorkload& w) { bias_rising_by(w, -0.1f); }, kLogitGoal}};
}

std::vector<Variant> merge_variants() {
    std::vector<Variant> variants;
    for (const double logits : {0., 10., 90., 95., 100., 1e4, 1e17})
        variants.push_back(
            {fmt::format("log-sum-exps {:g} apart", logits), [=](VariantWorkload& w) { set_states_apart(w, logits); }, kLogitGoal});
    variants.push_back({"one side has seen no key", [](VariantWorkload& w) { set_states_apart(w, kInfinity); }, kLogitGoal});
    variants.push_back(denormal("results denormal", [](VariantWorkload& w) { multiply_states(w, kDenormal); }));
    return variants;
}

}  // namespace

std::vector<VariantEntry> value_suite(const ValueShapes& shapes) {
    VariantList suite;
    const auto add = [&](const std::string& what, const AttentionShape& shape, const std::vector<Variant>& variants) {
        suite.add(what + plain_case_text(shape, Causal::none), shape, Causal::none, variants);
    };
    add("", shapes.prefill, attention_variants());
    add("", shapes.decode, attention_variants());
    const MoreBytes top_bytes = [](const AttentionShape& s) { return bytes_of_top_weights(s, kTopWeights); };
    const Vary top = [](VariantWorkload& w) { compute_top_weights(w, kTopWeights); };
    for (const AttentionShape& shape : {shapes.weights, shapes.decode_weights}) {
        add("weights, ", shape, computing(compute_weights, bytes_of_weights, logit_variants()));
        add(fmt::format("top {} weights, ", kTopWeights), shape, computing(top, top_bytes, top_weight_variants()));
    }
    const AttentionShape& merge = shapes.merge;
    suite.add(fmt::format("merge states, {} heads, {} rows, D{}", merge.num_heads, merge.query_length, merge.value_dim), merge,
              Causal::none, computing(compute_merged_states, bytes_of_states, merge_variants()));
    return suite.take();
}

}  // namespace headwise::tools
