#include "text/json_text.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "compare/report.hpp"
#include "profile/write/reports.hpp"
#include "variants/report.hpp"

using namespace headwise::tools;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// As a reader in another language takes it: strings by its text-to-float.
double number(const nlohmann::json& json) {
    return json.is_string() ? std::stod(json.get<std::string>()) : json.get<double>();
}

}  // namespace

TEST_CASE("a number that is not finite has a name wherever it stands; null stays null") {
    CHECK(json_text({{"a", kInfinity}, {"b", {1.5, -kInfinity, {{"c", kNaN}}}}, {"d", nullptr}, {"e", 1}}, -1) ==
          R"({"a":"inf","b":[1.5,"-inf",{"c":"nan"}],"d":null,"e":1})"
          "\n");
}

TEST_CASE("the JSON of a comparison tells an infinite error from none") {
    Comparison comparison;
    comparison.thread_counts = {1};
    CaseResult result;
    result.sizes = parse_case("attention:hq=1,sq=8,d=8");
    result.accuracy = {.engine_error = kInfinity, .naive_error = kNaN, .largest = 1, .naive_gflops = 1, .rows = 8, .total_rows = 8};
    comparison.results = {result, result};
    comparison.results[1].accuracy = {};
    const auto json = nlohmann::json::parse(comparison_json(comparison))["results"];
    CHECK(json[0]["max_abs_error"] == "inf");
    CHECK(number(json[0]["max_abs_error"]) == kInfinity);
    CHECK(json[0]["naive_max_abs_error"] == "nan");
    CHECK(json[1]["max_abs_error"].is_null());
    const std::string csv = comparison_csv(comparison);
    CHECK(csv.find(",inf,nan\n") != std::string::npos);
    CHECK(csv.ends_with(",,\n"));
}

TEST_CASE("so do the JSON of variants and that of a profile") {
    VariantComparison variants;
    variants.results.emplace_back();
    variants.results[0].accuracy.out = {
        .engine_error = kInfinity, .naive_error = 1e-7, .largest = 1, .naive_gflops = 0, .rows = 8, .total_rows = 8};
    CHECK(nlohmann::json::parse(variants_json(variants))["results"][0]["max_abs_error"] == "inf");

    ProfileReport report;
    report.runs.emplace_back();
    report.runs[0].metrics.speedup = kInfinity;
    report.runs[0].metrics.karp_flatt = kNaN;
    const auto metrics = nlohmann::json::parse(profile_json(report))["runs"][0]["metrics"];
    CHECK(metrics["speedup"] == "inf");
    CHECK(metrics["karp_flatt"] == "nan");
    CHECK(metrics["ipc_scaling"].is_null());
}
