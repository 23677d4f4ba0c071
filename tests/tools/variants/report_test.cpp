#include "variants/report.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

using namespace headwise;
using namespace headwise::tools;

namespace {

/// A result whose rate is `fraction` of what it took turns with.
VariantResult example(Figure figure, std::optional<double> goal, Quartiles fraction, int threads = 1, int goal_threads = 1) {
    VariantResult result;
    result.entry.base = "prefill, 2 heads";
    result.entry.shape = {1, 2, 2, 64, 64, 8, 8};
    result.entry.name = "variant";
    result.entry.figure = figure;
    result.entry.goal = goal;
    result.entry.goal_threads = goal_threads;
    result.threads = threads;
    result.flops = 12000;
    result.yardstick_unit = 2;
    result.measurement = {.seconds = {1e-6, 2e-6, 3e-6}, .fraction = fraction, .yardstick = 5, .rounds = 9, .calls_per_round = 3};
    result.accuracy.out = {
        .engine_error = 1e-7, .naive_error = 2e-7, .largest = 1, .naive_gflops = 0, .rows = 8, .total_rows = 128};
    return result;
}

VariantResult wrong(VariantResult result) {
    result.accuracy.out.engine_error = 0.5;
    result.measurement = {};
    return result;
}

VariantComparison comparison_of(std::vector<VariantResult> results) {
    VariantComparison comparison;
    comparison.isa = Isa::scalar;
    comparison.thread_counts = {1, 2};
    comparison.multiply_add_gflops = {{1, 100}, {2, 200}};
    comparison.read_gigabytes = {{1, 30}, {2, 60}};
    comparison.results = std::move(results);
    return comparison;
}

}  // namespace

TEST_CASE("a cost is the time beyond that of the plain case, by the median") {
    const VariantResult result = example(Figure::extra_time, 0.30, {0.5, 0.8, 1.0});
    CHECK(result.value().low == 0);
    CHECK(result.value().median == doctest::Approx(0.25));
    CHECK(result.value().high == 1);
    CHECK(result.met() == true);
    CHECK(example(Figure::extra_time, 0.20, {0.5, 0.8, 1.0}).met() == false);
    CHECK(example(Figure::extra_time, 0.01, {1.1, 1.1, 1.1}).met() == true);
    CHECK(result.yardstick() == 10);
    CHECK(result.gflops() == doctest::Approx(6));
}

TEST_CASE("of rates and speed-ups more is better") {
    for (const Figure figure : {Figure::flop_rate, Figure::speedup, Figure::bandwidth, Figure::thread_speedup}) {
        CHECK(example(figure, 0.85, {0.7, 0.9, 1.5}).met() == true);
        CHECK(example(figure, 0.95, {0.7, 0.9, 1.5}).met() == false);
        CHECK(example(figure, 0.95, {0.7, 0.9, 1.5}).value().median == 0.9);
    }
}

TEST_CASE("without a goal, or on fewer threads than it is for, nothing is met or missed") {
    CHECK(!example(Figure::extra_time, {}, {1, 1, 1}).met());
    CHECK(!example(Figure::bandwidth, 0.9, {1, 1, 1}, 1, 2).met());
    CHECK(!example(Figure::bandwidth, 0.9, {1, 1, 1}, 1, 2).goal());
    CHECK(example(Figure::bandwidth, 0.9, {1, 1, 1}, 2, 2).met() == true);
    VariantResult unmeasured = example(Figure::thread_speedup, 1.8, {});
    unmeasured.measurement = {};
    CHECK(!unmeasured.met());
}

TEST_CASE("a wrong result misses its goal and has no figure") {
    const std::vector<VariantResult> results{wrong(example(Figure::extra_time, 0.1, {})), wrong(example(Figure::speedup, {}, {}))};
    CHECK(results[0].met() == false);
    CHECK(!results[1].met());
    CHECK(variant_row(results, 10).find("WRONG: error 5.0e-01") != std::string::npos);
    const auto json = nlohmann::json::parse(variants_json(comparison_of(results)));
    CHECK(json["results"][0]["wrong"] == true);
    CHECK(json["results"][0]["met"] == false);
    for (const char* field : {"value", "value_quartiles", "seconds", "gflops", "yardstick"})
        CHECK(json["results"][0][field].is_null());
    CHECK(variants_csv(comparison_of(results)).find(",1,extra_time,,0.1,false,,,,GF/s,true,0.5,2e-07\n") != std::string::npos);
}

TEST_CASE("a row of the table says figure, spread, goal and verdict") {
    const std::vector<VariantResult> costs{example(Figure::extra_time, 0.1, {0.95, 0.95, 0.99}),
                                           example(Figure::extra_time, 0.1, {0.8, 0.8, 0.8}, 2)};
    CHECK(variant_row(costs, 10) ==
          "  variant     <= 10 %      10.0  costs   +5.3 % ±2.1  yes     10.0  costs  +25.0 % ±0.0  no\n");
    const std::vector<VariantResult> speeds{example(Figure::speedup, 7, {7, 7.5, 7.75}),
                                            example(Figure::flop_rate, 0.85, {0.5, 0.75, 1}, 2)};
    const std::string row = variant_row(speeds, 10);
    CHECK(row.find("speed   7.50x  ±0.38 yes") != std::string::npos);
    CHECK(row.find("rate    75.0 % ±25.0 no") != std::string::npos);
    CHECK(variant_row(speeds, 10).find(">= 85 %") != std::string::npos);  // of the last
    const std::string header = variant_header(comparison_of({}), 30);
    CHECK(header.find("2 threads: FMA peak 200.0 GF/s, read bandwidth 60.0 GB/s") != std::string::npos);
    CHECK(variant_notes(comparison_of(costs)).find("1 of 2 goals met.") != std::string::npos);
}

TEST_CASE("the JSON has every field of headwise.compare-variants/1, the CSV as many columns as its header") {
    const VariantComparison comparison =
        comparison_of({example(Figure::extra_time, 0.1, {0.8, 0.8, 1.0}, 2), example(Figure::bandwidth, {}, {0.5, 0.5, 0.5})});
    const auto json = nlohmann::json::parse(variants_json(comparison));
    CHECK(json["schema"] == "headwise.compare-variants/1");
    CHECK(json["machine"]["fma_peak_gflops"]["2"] == 200);
    REQUIRE(json["results"].size() == 2);
    const auto& cost = json["results"][0];
    CHECK(cost["case"] == "prefill, 2 heads");
    CHECK(cost["shape"]["hkv"] == 2);
    CHECK(cost["variant"] == "variant");
    CHECK(cost["threads"] == 2);
    CHECK(cost["figure"] == "extra_time");
    CHECK(cost["value"].get<double>() == doctest::Approx(0.25));
    CHECK(cost["value_quartiles"][0] == 0);
    CHECK(cost["goal"] == 0.1);
    CHECK(cost["met"] == false);
    CHECK(cost["seconds"] == 2e-6);
    CHECK(cost["yardstick"] == 10);
    CHECK(cost["yardstick_unit"] == "GF/s");
    CHECK(cost["checked_rows"] == 8);
    CHECK(json["results"][1]["goal"].is_null());
    CHECK(json["results"][1]["met"].is_null());
    CHECK(json["results"][1]["yardstick_unit"] == "GB/s");

    const std::string csv = variants_csv(comparison);
    const auto commas = [](const std::string& line) { return std::ranges::count(line, ','); };
    CHECK(std::ranges::count(csv, '\n') == 3);
    const std::string header = csv.substr(0, csv.find('\n')), last = csv.substr(csv.find('\n', csv.find('\n') + 1) + 1);
    CHECK(commas(last) == commas(header) + 1);  // and that of the quoted name
    CHECK(last.find("\"prefill, 2 heads\",variant,1,bandwidth,0.5,,,") == 0);
}
