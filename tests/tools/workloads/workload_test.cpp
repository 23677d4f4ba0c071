#include "workloads/workload.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "cases/suite.hpp"
#include "files/attention_file.hpp"
#include "files/safetensors.hpp"
#include "measure/accuracy.hpp"
#include "measure/thread_team.hpp"
#include "workloads/attention_file.hpp"

using namespace headwise::tools;

namespace {

/// Runs a case once on 2 threads and compares it.
Accuracy check_case(const std::string& text, double* flops = nullptr) {
    const auto workload = make_workload(parse_case(text));
    if (flops != nullptr) *flops = workload->flops();
    ThreadTeam team(2);
    team.run([&] { workload->prepare()(); });
    return workload->check();
}

}  // namespace

TEST_CASE("the operands of a case are the bytes that it must read") {
    for (const std::string text :
         {"attention:b=3,hq=8,hkv=2,sq=1,skv=500,d=64,dv=32", "attention:hq=4,sq=33,skv=70,d=20,layout=bshd",
          "matmul:m=33,n=70,k=129", "matmul:batch=3,m=5,n=6,k=7", "layer:b=2,s=40,model=48,heads=6"}) {
        CAPTURE(text);
        const auto workload = make_workload(parse_case(text));
        workload->prepare();
        double bytes = 0;
        for (const std::span<const float> range : workload->operands()) bytes += static_cast<double>(range.size_bytes());
        CHECK(bytes == workload->read_bytes());
    }
}

namespace {

/// A tensor [blocks, heads, tokens, dim] in the layout, of ones where a sequence has a key and of zeros elsewhere.
struct MarkedTensor {
    std::vector<std::int64_t> shape;
    std::vector<float> values;
    std::int64_t used = 0;

    /// The first used_tokens[i] tokens of block i are in use.
    MarkedTensor(Layout layout, std::int64_t heads, std::int64_t tokens, std::int64_t dim,
                 const std::vector<std::int64_t>& used_tokens) {
        const bool heads_inside = layout == Layout::bshd;
        const std::int64_t blocks = std::ssize(used_tokens), rows = heads_inside ? tokens : heads;
        shape = {blocks, rows, heads_inside ? heads : tokens, dim};
        for (std::int64_t i = 0; i < blocks * heads * tokens; ++i) {
            const std::int64_t token = heads_inside ? i / heads % tokens : i % tokens;
            const bool in_use = token < used_tokens[static_cast<std::size_t>(i / (heads * tokens))];
            values.insert(values.end(), static_cast<std::size_t>(dim), in_use ? 1.0f : 0.0f);
            used += in_use ? dim : 0;
        }
    }
};

}  // namespace

TEST_CASE("the operands of a file are the keys and values that its lengths and pages have in use, each once") {
    const std::string path = (std::filesystem::temp_directory_path() / fmt::format("headwise_{}.safetensors", getpid())).string();
    const std::vector<std::int32_t> table{4, 1, 5, 4, 0, 3}, lengths{10, 5}, sums{0, 1, 2}, key_sums{0, 3, 8};
    const std::vector<float> queries(2 * 4 * 8);
    for (const Layout layout : {Layout::bhsd, Layout::bshd}) {
        const bool heads_inside = layout == Layout::bshd;
        const auto check = [&](const std::vector<std::int64_t>& used_tokens, std::int64_t tokens, std::int64_t batch,
                               const std::vector<WrittenTensor>& rules) {
            const MarkedTensor key(layout, 2, tokens, 8, used_tokens), value(layout, 2, tokens, 4, used_tokens);
            const std::vector<std::int64_t> shape = heads_inside ? std::vector<std::int64_t>{batch, 2 / batch, 4, 8}
                                                                 : std::vector<std::int64_t>{batch, 4, 2 / batch, 8};
            std::vector<WrittenTensor> tensors{
                {"q", shape, queries}, {"k", key.shape, key.values}, {"v", value.shape, value.values}};
            tensors.insert(tensors.end(), rules.begin(), rules.end());
            write_safetensors(path, tensors);
            const auto workload = attention_file_workload(AttentionFile(path, layout), {.layout = layout});
            double elements = 0, sum = 0;
            for (const std::span<const float> range : workload->operands()) {
                elements += static_cast<double>(range.size());
                sum = std::accumulate(range.begin(), range.end(), sum);
            }
            CHECK(elements == static_cast<double>(key.used + value.used));
            CHECK(sum == elements);
        };
        CAPTURE(heads_inside);
        check({7, 7}, 7, 2, {});
        check({10, 5}, 12, 2, {{"kv_lengths", {2}, lengths}});
        check({1, 4, 0, 0, 4, 2}, 4, 2, {{"kv_lengths", {2}, lengths}, {"page_table", {2, 3}, table}});
        check({8}, 8, 1, {{"cu_seqlens_q", {3}, sums}, {"cu_seqlens_k", {3}, key_sums}});
    }
    std::filesystem::remove(path);
}

TEST_CASE("every kind of case agrees with the naive f64 loops within twice the naive f32 error, or rounding") {
    for (const std::string text :
         {"attention:b=2,hq=4,hkv=2,sq=33,skv=70,d=20,dv=12", "attention:hq=4,sq=33,skv=70,d=64,causal=bottom-right",
          "attention:hq=4,sq=33,skv=70,d=64,causal=top-left,layout=bshd",
          "attention:hq=2,sq=70,skv=33,d=64,causal=bottom-right,scale=0.7", "attention:b=3,hq=8,hkv=2,sq=1,skv=500,d=64",
          "matmul:m=33,n=70,k=129", "matmul:batch=3,m=5,n=6,k=7", "layer:b=2,s=40,model=48,heads=6,kv_heads=2",
          "layer:b=2,s=40,model=48,heads=6,causal=top-left"}) {
        CAPTURE(text);
        const Accuracy accuracy = check_case(text);
        CHECK(accuracy.rows > 0);
        CHECK(accuracy.engine_error <= 2 * accuracy.naive_error + 1e-7 * accuracy.largest);
        CHECK(accuracy.largest > 0.1);
        CHECK(!is_wrong(accuracy));
        CHECK(accuracy.naive_gflops > 0);
    }
}

TEST_CASE("only allowed pairs count, 4 FLOPs for each element of a head") {
    double flops = 0;
    check_case("attention:b=2,hq=3,sq=10,skv=20,d=8", &flops);
    CHECK(flops == 4 * 8 * 2 * 3 * 10 * 20);
    check_case("attention:b=2,hq=3,sq=10,skv=20,d=8,dv=4", &flops);
    CHECK(flops == 2 * 12 * 2 * 3 * 10 * 20);
    check_case("attention:sq=10,skv=20,d=8,causal=top-left", &flops);
    CHECK(flops == 4 * 8 * 55);
    check_case("attention:sq=10,skv=20,d=8,causal=bottom-right", &flops);
    CHECK(flops == 4 * 8 * (10 * 20 - 45));
    check_case("attention:sq=20,skv=10,d=8,causal=bottom-right", &flops);
    CHECK(flops == 4 * 8 * 55);
    check_case("attention:sq=20,skv=10,d=8,causal=top-left", &flops);
    CHECK(flops == 4 * 8 * (55 + 10 * 10));
    check_case("matmul:batch=2,m=3,n=4,k=5", &flops);
    CHECK(flops == 2 * 2 * 3 * 4 * 5);
    check_case("layer:b=2,s=10,model=8,heads=2", &flops);
    CHECK(flops == 2 * (8 * 10 * 8 * 8 + 4 * 10 * 10 * 8));
}

TEST_CASE("the real inputs agree with what the models computed") {
    for (const SuiteEntry& entry : real_suite(HEADWISE_DATA_DIR)) {
        CAPTURE(entry.name);
        const auto workload = attention_workload(read_attention_tensors_with_expected(entry.file, entry.file_options));
        workload->prepare()();
        const Accuracy accuracy = workload->check();
        CHECK(accuracy.rows == accuracy.total_rows);
        CHECK(!is_wrong(accuracy));
        REQUIRE(accuracy.engine_to_model);
        CHECK(*accuracy.engine_to_model < 1e-5);
        CHECK(*accuracy.naive_to_model < 1e-5);
    }
}
