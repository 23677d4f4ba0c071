// NaN and Inf in attention_weights(): where the formula has them, and neither in keys that a row does not see nor in other rows.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "headwise/attention_weights.hpp"
#include "tests/attention/variant_call.hpp"

namespace headwise::test {
namespace {

/// The weights of all rows, [head, query, key]; with the log-sum-exp of the call, or from the two sweeps.
std::vector<float> weights_of(const VariantCall& call, bool with_log_sum_exp) {
    const auto [queries, keys, seed] = call.sequences[0];
    std::vector<float> weights(static_cast<std::size_t>(call.shape.num_heads * queries * keys), kNan);
    AttentionArguments arguments = call.arguments;
    if (!with_log_sum_exp) arguments.log_sum_exp = {};
    attention_weights(arguments, call.options, {}, {.weights = {weights.data(), {1, call.shape.num_heads, queries, keys}}});
    return weights;
}

void check_nan_row(const VariantCall& call, bool with_log_sum_exp) {
    const auto [queries, keys, seed] = call.sequences[0];
    const std::vector<float> clean = weights_of(call, with_log_sum_exp);
    const std::int64_t head = call.shape.num_heads - 1, query = queries / 2;
    const float kept = call.query(0, head, query)[0], kept_sum = call.log_sum_exp(0, head, query);
    call.query(0, head, query)[0] = kNan;
    call.log_sum_exp(0, head, query) = kNan;
    const std::vector<float> weights = weights_of(call, with_log_sum_exp);
    call.query(0, head, query)[0] = kept;
    call.log_sum_exp(0, head, query) = kept_sum;
    bool others = true, seen = true, hidden = true;
    std::size_t at = 0;
    for (std::int64_t h = 0; h < call.shape.num_heads; ++h)
        for (std::int64_t i = 0; i < queries; ++i)
            for (std::int64_t j = 0; j < keys; ++j, ++at) {
                if (h != head || i != query)
                    others &= same_values({clean[at]}, {weights[at]});
                else if (call.sees(0, h, i, j))
                    seen &= std::isnan(weights[at]);
                else
                    hidden &= weights[at] == 0;
            }
    CHECK_MESSAGE(others, "it leaks into another row");
    CHECK_MESSAGE(seen, "a key that the row sees has a number");
    CHECK_MESSAGE(hidden, "a key that the row does not see has a weight");
}

TEST_CASE("a query with NaN has weights of NaN for the keys that it sees, 0 for all others, and changes no other row") {
    for (const Variants& variants : all_variants())
        for (const SequenceSizes& sizes : {SequenceSizes{1, 40}, SequenceSizes{30, 70}, SequenceSizes{70, 130}}) {
            const VariantCall call(variants, {sizes});
            INFO(call.text());
            call.run();
            for (const bool given : {false, true}) {
                CAPTURE(given);
                check_nan_row(call, given);
            }
        }
}

TEST_CASE("keys whose logits are all -Inf weigh NaN, as 0/0 does, or nothing beside a sink") {
    constexpr std::int64_t kKeys = 150;
    const float query = 1, sink = 0;
    const std::vector<float> key(kKeys, -kInfinity);
    std::vector<std::uint8_t> mask(kKeys);
    for (std::size_t j = 0; j < mask.size(); j += 3) mask[j] = 1;
    std::vector<float> weights(kKeys);
    AttentionArguments arguments{.query = bhsd(&query, 1, 1, 1, 1), .key = bhsd(key.data(), 1, 1, kKeys, 1)};
    arguments.mask = {mask.data(), {1, 1, 1, kKeys}};
    for (const bool sinks : {false, true}) {
        CAPTURE(sinks);
        if (sinks) arguments.sinks = {&sink, 1};
        attention_weights(arguments, {.scale = 1.0f}, {}, {.weights = {weights.data(), {1, 1, 1, kKeys}}});
        bool right = true;
        for (std::size_t j = 0; j < mask.size(); ++j) right &= mask[j] && !sinks ? std::isnan(weights[j]) : weights[j] == 0;
        CHECK(right);
    }
}

}  // namespace
}  // namespace headwise::test
