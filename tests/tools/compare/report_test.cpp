#include "compare/report.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "measure/accuracy.hpp"
#include "text/csv_field.hpp"

using namespace headwise;
using namespace headwise::tools;

namespace {

/// Two cases on 1 and 4 threads: a checked product bound by arithmetic and an unchecked attention bound by reading.
Comparison example() {
    Comparison comparison;
    comparison.isa = Isa::scalar;
    comparison.thread_counts = {1, 4};
    comparison.multiply_add_gflops = {{1, 100}, {4, 400}};
    comparison.read_gigabytes = {{1, 30}, {4, 60}};
    for (const bool product : {true, false}) {
        for (const int threads : {1, 4}) {
            CaseResult result;
            result.name = product ? "product" : "decode, \"batch\" 8";
            result.sizes = parse_case(product ? "matmul:m=10,n=20,k=30" : "attention:hq=8,hkv=2,sq=1,skv=100,d=64");
            result.threads = threads;
            result.flops = 12000;
            result.read_bytes = 6000;
            result.bound = product ? Bound::multiply_add : Bound::reading;
            result.measurement = {
                .seconds = {1e-6, 2e-6, 3e-6}, .fraction = {0.4, 0.5, 0.625}, .yardstick = 12, .rounds = 5, .calls_per_round = 10};
            if (product)
                result.accuracy = {
                    .engine_error = 1e-6, .naive_error = 2e-6, .largest = 3, .naive_gflops = 1.5, .rows = 3, .total_rows = 10};
            if (product) result.accuracy.engine_to_model = 1e-7, result.accuracy.naive_to_model = 2e-7;
            comparison.results.push_back(result);
        }
    }
    return comparison;
}

std::size_t count(const std::string& text, char c) {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), c));
}

}  // namespace

TEST_CASE("the JSON has every field of headwise.compare/1") {
    const auto json = nlohmann::json::parse(comparison_json(example()));
    CHECK(json["schema"] == "headwise.compare/1");
    CHECK(json["machine"]["isa"] == "scalar");
    CHECK(json["machine"]["threads"].is_number_integer());
    CHECK(json["machine"]["cpu"].is_string());
    CHECK(json["machine"]["fma_peak_gflops"]["4"] == 400);
    CHECK(json["machine"]["read_bandwidth_gbs"]["1"] == 30);
    REQUIRE(json["results"].size() == 4);

    const auto& product = json["results"][1];
    CHECK(product["case"] == "product");
    CHECK(product["op"] == "matmul");
    CHECK(product["shape"]["k"] == 30);
    CHECK(product["threads"] == 4);
    CHECK(product["seconds"] == 2e-6);
    CHECK(product["gflops"].get<double>() == doctest::Approx(6));
    CHECK(product["peak_fraction"] == 0.5);
    CHECK(product["bandwidth_fraction"].is_null());
    CHECK(product["naive_gflops"] == 1.5);
    CHECK(product["speedup"].get<double>() == doctest::Approx(4));
    CHECK(product["max_abs_error"] == 1e-6);
    CHECK(product["naive_max_abs_error"] == 2e-6);
    CHECK(product["arguments"] == "--case matmul:m=10,n=20,k=30");
    CHECK(product["fma_peak_gflops"] == 12);

    const auto& decode = json["results"][2];
    CHECK(decode["shape"]["hkv"] == 2);
    CHECK(decode["shape"]["causal"] == "none");
    CHECK(decode["bandwidth_fraction"] == 0.5);
    CHECK(decode["read_bandwidth_gbs"] == 12);
    for (const char* field : {"peak_fraction", "naive_gflops", "speedup", "max_abs_error", "naive_max_abs_error"})
        CHECK(decode[field].is_null());
}

TEST_CASE("a CSV line has as many fields as the header, names quoted") {
    const std::string csv = comparison_csv(example());
    CHECK(count(csv, '\n') == 5);
    CHECK(csv.find("case,op,shape,threads,seconds,") == 0);
    CHECK(csv.find("\nproduct,matmul,\"matmul:m=10,n=20,k=30\",1,") != std::string::npos);
    CHECK(csv.find("\n\"decode, \"\"batch\"\" 8\",attention,") != std::string::npos);
    CHECK(csv.find(",,0.5,,,,\n") != std::string::npos);
    CHECK(csv_field("esc\x1b[31m,\"q\r\n") == "\"esc\\x1b[31m,\"\"q\\x0d\\x0a\"");
}

TEST_CASE("the table marks samples, memory and what was not checked") {
    const Comparison comparison = example();
    const std::string header = table_header(comparison, 20);
    CHECK(header.find("4 threads: FMA peak 400.0 GF/s, read bandwidth 60.0 GB/s") != std::string::npos);
    const std::string product = table_row(std::span(comparison.results).first(2), 20);
    CHECK(product.find("1.50*") != std::string::npos);
    CHECK(product.find("50.0 %  ±11.2") != std::string::npos);
    CHECK(product.find("4x") != std::string::npos);
    CHECK(product.find("WRONG") == std::string::npos);
    const std::string decode = table_row(std::span(comparison.results).last(2), 20);
    CHECK(decode.find("50.0 %r") != std::string::npos);
    CHECK(decode.find("- ") != std::string::npos);
    const std::string notes = table_notes(comparison);
    for (const char* part : {"\nr: ", "\n*: ", "\n-: ", "product: differs from the model's own output by at most 1.0e-07"}) {
        CAPTURE(part);
        CHECK(notes.find(part) != std::string::npos);
    }
}

TEST_CASE("a result is wrong when no rounding explains its error") {
    Accuracy accuracy{.engine_error = 1e-5, .naive_error = 1e-6, .largest = 1, .naive_gflops = 1, .rows = 1, .total_rows = 1};
    CHECK(!is_wrong(accuracy));
    accuracy.engine_error = 1e-2;
    CHECK(is_wrong(accuracy));
    accuracy.naive_error = 1e-2;  // as sensitive a case as that
    CHECK(!is_wrong(accuracy));
    accuracy.engine_error = std::numeric_limits<double>::infinity();
    CHECK(is_wrong(accuracy));
    accuracy.rows = 0;
    CHECK(!is_wrong(accuracy));
}
