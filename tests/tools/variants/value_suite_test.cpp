#include "variants/value_suite.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "measure/thread_team.hpp"
#include "variants/check.hpp"
#include "variants/values.hpp"

using namespace headwise;
using namespace headwise::tools;

namespace {

/// The suite with plain cases so small that naive loops take no time, and lengths that are no multiples of anything.
std::vector<VariantEntry> small_suite() {
    return value_suite({.prefill = {1, 3, 3, 70, 70, 16, 16},
                        .decode = {1, 4, 2, 1, 90, 32, 32},
                        .weights = {1, 2, 2, 50, 90, 16, 16},
                        .decode_weights = {1, 4, 2, 1, 90, 32, 32},
                        .merge = {1, 3, 3, 50, 50, 16, 16}});
}

void run(const VariantCall& call) {
    ThreadTeam team(2);
    team.run([&] { prepare(call)(); });
}

std::span<const float> contiguous(const TensorView<const float, 4>& x) {
    return {x.data, static_cast<std::size_t>(x.extent[0] * x.extent[1] * x.extent[2] * x.extent[3])};
}

bool all_denormal(const TensorView<const float, 4>& x) {
    std::size_t zeros = 0;
    for (const float value : contiguous(x)) {
        if (std::abs(value) >= std::numeric_limits<float>::min()) return false;
        zeros += value == 0 ? 1u : 0u;
    }
    return zeros < contiguous(x).size() / 100;
}

VariantWorkload workload() {
    return plain_workload({1, 2, 2, 20, 30, 16, 16}, Causal::none);
}

}  // namespace

TEST_CASE("values: every call of the suite, and what it is compared with, agrees with the naive f64 loops") {
    for (const VariantEntry& entry : small_suite()) {
        CAPTURE(entry.base);
        CAPTURE(entry.name);
        VariantWorkload w = entry.make();
        for (const VariantCall& call : {w.plain, w.variant}) {
            run(call);
            const VariantAccuracy accuracy = check_call(call);
            CHECK(!accuracy.wrong());
            CHECK(accuracy.out.rows > 0);
            CHECK(accuracy.out.largest > 0);
        }
    }
}

TEST_CASE("values: both sides of a comparison have the same shape, rules and work") {
    for (const VariantEntry& entry : small_suite()) {
        CAPTURE(entry.base);
        CAPTURE(entry.name);
        const VariantWorkload w = entry.make();
        const AttentionArguments &a = w.plain.arguments, &b = w.variant.arguments;
        CHECK(w.plain.flops() == w.variant.flops());
        CHECK(w.plain.weighs() == w.variant.weighs());
        CHECK(w.plain.merges() == w.variant.merges());
        CHECK(a.bias.extent == b.bias.extent);
        CHECK(a.mask.extent == b.mask.extent);
        CHECK(a.query.stride == b.query.stride);
        CHECK(a.key.stride == b.key.stride);
        CHECK(a.value.stride == b.value.stride);
        CHECK(a.sinks.size() == b.sinks.size());
        CHECK(a.alibi_slopes.size() == b.alibi_slopes.size());
        CHECK(w.plain.options.softcap == w.variant.options.softcap);
    }
}

TEST_CASE("values: finite logits may cost 5 %, denormal numbers twice the time, and each call is there once") {
    std::set<std::string> names, bases;
    for (const VariantEntry& entry : value_suite()) {
        CAPTURE(entry.name);
        CHECK(names.insert(entry.base + ": " + entry.name).second);
        bases.insert(entry.base);
        CHECK(entry.figure == Figure::extra_time);
        if (entry.name == "NaN behind a mask")
            CHECK(!entry.goal);
        else
            CHECK(entry.goal == (entry.name.ends_with("denormal") ? 1.0 : 0.05));
    }
    for (const std::string base : {"prefill, 8 heads, 1024 keys, D64", "decode, batch 1, 32/8 heads, 512 keys, D128"}) {
        CHECK(bases.contains(base));
        for (const std::string what : {"", "weights, "}) {
            const std::string prefix = what + (what.empty() || base[0] == 'd' ? base : "prefill, 4 heads, 512 keys, D64");
            for (const char* apart : {"0", "1e+17"}) CHECK(names.contains(prefix + ": logits " + apart + " apart"));
            for (const char* bias : {"0", "-50", "-90", "-95", "-100", "-110", "-10000", "lowest"})
                CHECK(names.contains(prefix + ": bias " + bias + ", every other key"));
            for (const char* what_is : {"queries", "keys"}) CHECK(names.contains(prefix + ": " + what_is + " denormal"));
        }
        CHECK(names.contains(base + ": values denormal"));
    }
}

TEST_CASE("values: the numbers are what the names say") {
    VariantWorkload w = workload();
    spread_logits(w, 1e4);
    float least = std::numeric_limits<float>::max(), most = -least;
    for (std::int64_t j = 0; j < 30; ++j) {
        float sum = 0;
        for (std::int64_t d = 0; d < 16; ++d) sum += w.variant.arguments.query.data[d] * w.variant.arguments.key.data[j * 16 + d];
        least = std::min(least, sum * *w.variant.options.scale);
        most = std::max(most, sum * *w.variant.options.scale);
    }
    CHECK(most - least == doctest::Approx(1e4).epsilon(1e-4));

    w = workload();
    bias_every_other_key(w, -90);
    const auto plain = contiguous(w.plain.arguments.bias), bias = contiguous(w.variant.arguments.bias);
    for (std::size_t j = 0; j < 30; ++j) CHECK(bias[j] == (j % 2 == 1 ? -90 : plain[j]));

    w = workload();
    compute_merged_states(w);
    set_states_apart(w, 90);
    for (std::size_t i = 0; i < 40; ++i) {
        const float larger = w.plain.states[0].log_sum_exp.data[i];
        CHECK(w.variant.states[0].log_sum_exp.data[i] == larger);
        CHECK(larger - w.plain.states[1].log_sum_exp.data[i] == doctest::Approx(1));
        CHECK(larger - w.variant.states[1].log_sum_exp.data[i] == doctest::Approx(90));
    }

    for (const VariantEntry& entry : small_suite()) {
        const VariantWorkload small = entry.make();
        const VariantCall& call = small.variant;
        if (entry.name == "queries denormal") CHECK(all_denormal(call.arguments.query));
        if (entry.name == "keys denormal") CHECK(all_denormal(call.arguments.key));
        if (entry.name == "values denormal") CHECK(all_denormal(call.arguments.value));
        if (entry.name == "results denormal") CHECK(all_denormal(call.states[0].out));
    }
}

TEST_CASE("values: a wrong weight, a wrong key of a largest weight and a wrong merged row make a wrong result") {
    VariantWorkload w = workload();
    compute_weights(w);
    run(w.variant);
    CHECK(!check_call(w.variant).wrong());
    w.variant.weights.weights.data[3] += 0.1f;
    CHECK(check_call(w.variant).wrong());

    w = workload();
    compute_top_weights(w, 4);
    run(w.variant);
    CHECK(!check_call(w.variant).wrong());
    std::swap(w.variant.weights.top_keys.data[0], w.variant.weights.top_keys.data[3]);
    CHECK(check_call(w.variant).wrong());

    w = workload();
    compute_merged_states(w);
    run(w.variant);
    CHECK(!check_call(w.variant).wrong());
    w.variant.arguments.out.data[0] += 0.1f;
    CHECK(check_call(w.variant).wrong());
    run(w.variant);
    w.variant.arguments.log_sum_exp.data[0] += 0.1f;
    CHECK(check_call(w.variant).wrong());
}
