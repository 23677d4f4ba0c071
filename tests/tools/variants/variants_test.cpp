#include "variants/variants.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "measure/thread_team.hpp"
#include "variants/check.hpp"
#include "variants/comparison.hpp"
#include "variants/suite.hpp"

using namespace headwise;
using namespace headwise::tools;

namespace {

/// The suite with plain cases so small that naive loops take no time, and lengths that are no multiples of anything.
std::vector<VariantEntry> small_suite() {
    return variant_suite({.prefill = {1, 3, 3, 70, 70, 16, 16},
                          .grouped_prefill = {2, 4, 2, 65, 65, 24, 24},
                          .batched_prefill = {3, 2, 2, 33, 33, 16, 16},
                          .long_prefill = {1, 2, 2, 200, 200, 16, 16},
                          .even_batch = {5, 2, 2, 20, 20, 16, 16},
                          .speculation = {2, 4, 2, 9, 50, 16, 16},
                          .decode = {3, 4, 2, 1, 90, 32, 32},
                          .prefix_decode = {3, 4, 2, 1, 90, 32, 32},
                          .shared_key_decode = {1, 8, 1, 1, 130, 32, 32}});
}

/// On 2 threads.
void run(const VariantCall& call) {
    ThreadTeam team(2);
    team.run([&] { prepare(call)(); });
}

}  // namespace

TEST_CASE("every variant of the suite agrees with the naive f64 loops, in rows and log-sum-exp") {
    for (const VariantEntry& entry : small_suite()) {
        CAPTURE(entry.base);
        CAPTURE(entry.name);
        const VariantWorkload w = entry.make();
        run(w.variant);
        const VariantAccuracy accuracy = check_call(w.variant);
        CHECK(!accuracy.wrong());
        CHECK(accuracy.out.rows > 0);
        CHECK(accuracy.out.engine_error <= 2 * accuracy.out.naive_error + 1e-6 * accuracy.out.largest);
        CHECK(accuracy.out.largest > 0.1);
        CHECK((accuracy.log_sum_exp.rows > 0) == (entry.name == "log-sum-exp"));
    }
}

TEST_CASE("the check tells a variant's result from that of the plain case") {
    const std::set<std::string> same{"window wider than everything", "key lengths, all the same", "log-sum-exp"};
    for (const VariantEntry& entry : small_suite()) {
        if (!entry.vary || same.contains(entry.name)) continue;
        CAPTURE(entry.base);
        CAPTURE(entry.name);
        const VariantWorkload w = entry.make();
        run(w.plain);  // both have the same memory for their results
        // The causal rule is the same rule, however it is given; and so are shared keys the same keys.
        const bool same_rule = entry.name == "causal by a mask of bytes" || entry.name.ends_with("shared by all, read once");
        CHECK(check_call(w.variant).wrong() == !same_rule);
    }
}

TEST_CASE("a wrong log-sum-exp makes a wrong result") {
    VariantWorkload w = plain_workload({1, 2, 2, 20, 20, 16, 16}, Causal::none);
    add_log_sum_exp(w);
    run(w.variant);
    CHECK(!check_call(w.variant).wrong());
    w.variant.arguments.log_sum_exp.data[0] += 0.1f;
    CHECK(check_call(w.variant).wrong());
}

TEST_CASE("the suite names each variant of a plain case once, one behind the other") {
    std::set<std::pair<std::string, std::string>> names;
    std::set<std::string> bases;
    std::string last;
    for (const VariantEntry& entry : variant_suite()) {
        CAPTURE(entry.name);
        CHECK(names.emplace(entry.base, entry.name).second);
        if (entry.base != last) CHECK(bases.insert(entry.base).second);
        last = entry.base;
    }
    CHECK(bases.contains("prefill, 12 heads, 1024 keys, D64"));
    CHECK(bases.contains("prefill, 2 heads, 16384 keys, D64, causal"));
    CHECK(bases.contains("decode, batch 8, 32/8 heads, 4096 keys, D128"));
    CHECK(names.contains({"prefill, 2 heads, 16384 keys, D64, causal", "window of 1024 keys"}));
    CHECK(names.contains({"prefill, batch 16, 2 heads, 1024 keys, D64", "ragged, 1 to 2048 tokens"}));
}

TEST_CASE("a ragged batch has the tokens of the even one, in lengths from 1 to twice as many") {
    for (const std::int64_t batch : {2, 3, 16}) {
        VariantWorkload w = plain_workload({batch, 2, 2, 40, 40, 8, 8}, Causal::none);
        make_ragged(w);
        const PrefixSums& sums = w.variant.arguments.cumulative_query_lengths;
        REQUIRE(sums.size() == static_cast<std::size_t>(batch) + 1);
        CHECK(sums[static_cast<std::size_t>(batch)] == batch * 40);
        CHECK(w.variant.arguments.query.extent[2] == batch * 40);
        std::int64_t least = 1000, most = 0, pairs = 0;
        for (std::size_t b = 0; b + 1 < sums.size(); ++b) {
            const std::int64_t length = sums[b + 1] - sums[b];
            least = std::min(least, length);
            most = std::max(most, length);
            pairs += length * length;
        }
        CHECK(least == 1);
        CHECK(most >= 79);
        CHECK(most <= 80);
        CHECK(w.variant.flops() == static_cast<double>(2 * 4 * 8 * pairs));
    }
}

TEST_CASE("masks take no FLOPs away, positions do") {
    VariantWorkload masked = plain_workload({1, 2, 2, 64, 64, 8, 8}, Causal::none),
                    window = plain_workload({1, 2, 2, 64, 64, 8, 8}, Causal::bottom_right);
    add_mask(masked, 0.5);
    CHECK(masked.variant.flops() == masked.plain.flops());
    CHECK(masked.plain.flops() == 2 * 4 * 8 * 64 * 64);
    CHECK(masked.plain.read_bytes() == 4 * 2 * 2 * 64 * 8);
    add_window(window, 4);
    CHECK(window.plain.flops() == 2 * 4 * 8 * (64 * 65 / 2));
    CHECK(window.variant.flops() == 2 * 4 * 8 * (64 * 5 - 10));
}

TEST_CASE("a variant has a result for each number of threads, checked and measured") {
    const VariantEntry entry{.base = "base", .shape = {1, 2, 2, 64, 64, 16, 16}, .name = "bias", .vary = add_bias, .goal = 0.1};
    VariantTimer timer({1, 2});
    CHECK(timer.peaks().thread_counts == std::vector{1, 2});
    const std::vector<VariantResult> results = timer.time(entry);
    REQUIRE(results.size() == 2);
    for (const VariantResult& result : results) {
        CHECK(result.threads == (&result == &results[0] ? 1 : 2));
        CHECK(!result.accuracy.wrong());
        CHECK(result.measured());
        CHECK(result.yardstick() > 0);
        CHECK(result.flops == 2 * 4 * 16 * 64 * 64);
        CHECK(result.met().has_value());
    }
}
