// A program that is compiled with -D_GLIBCXX_DEBUG, so with other containers than the library: all that holds memory is used and
// checked.
#include <cmath>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "headwise/headwise.hpp"

#ifndef _GLIBCXX_DEBUG
#error "compile it with -D_GLIBCXX_DEBUG"
#endif

namespace {

using namespace headwise;

int failures = 0;

void check(bool holds, const char* what) {
    if (holds) return;
    std::printf("wrong: %s\n", what);
    ++failures;
}

bool near(double a, double b) {
    return std::abs(a - b) < 1e-5;
}

std::vector<float> numbers(std::size_t count) {
    std::vector<float> x(count);
    for (std::size_t i = 0; i < count; ++i) x[i] = static_cast<float>((i * 37 + 11) % 17) / 8 - 1;
    return x;
}

void machine() {
    const CpuInfo& info = cpu_info();
    check(info.logical_cores >= 1 && !info.model.empty(), "cpu_info()");
    check(!available_isas().empty() && available_isas().front() == Isa::scalar, "available_isas()");
    for (const std::string_view feature : info.features) check(!feature.empty(), "features");
}

void rope() {
    const RopeTable table({.dims = 2, .base = 100}, 10), copy = table;
    const float x[2] = {1, 0};
    float y[2] = {};
    apply_rope(bhsd(x, 1, 1, 1, 2), bhsd(y, 1, 1, 1, 2), copy, {}, 3);
    check(near(y[0], std::cos(3.0)) && near(y[1], std::sin(3.0)), "apply_rope()");
    check(table.positions() == 10 && table.options().base == 100, "RopeTable");
}

void cache_and_weights() {
    constexpr std::int64_t kTokens = 21, kDim = 4;
    const RopeTable table({.dims = kDim}, 64);
    KvCache cache({.num_kv_heads = 1, .head_dim = kDim, .page_size = 4, .pages = 32}, &table);
    const SequenceId first = cache.add_sequence();
    const std::vector<float> key = numbers(kTokens * kDim), value = numbers(kTokens * kDim);
    cache.append(first, {key.data(), {1, kTokens, kDim}}, {value.data(), {1, kTokens, kDim}});
    const SequenceId second = cache.fork(first);
    cache.truncate(second, 9);
    KvCache moved = std::move(cache);
    check(moved.length(first) == kTokens && moved.length(second) == 9 && moved.pages(first).size() == 6, "KvCache");
    check(moved.free_pages() == 32 - 6 && moved.pages_needed(first, 4) == 1, "KvCache::free_pages()");
    const std::vector<SequenceId> both{first, second};
    KvBatch made = moved.make_batch(both);
    const KvBatch batch = made;
    made = KvBatch();
    check(made.batch_size() == 0 && made.page_table().data != nullptr, "KvBatch()");
    check(batch.batch_size() == 2 && batch.key_lengths()[1] == 9 && batch.page_table().extent[1] == 6, "KvBatch");
    check(batch.shared_keys() == 8, "KvBatch::shared_keys()");

    const std::vector<float> query = numbers(2 * kDim);
    std::vector<float> out(2 * kDim), log_sum_exp(2), weights(2 * kTokens);
    const AttentionArguments arguments{.query = bhsd<const float>(query.data(), 2, 1, 1, kDim),
                                       .key = moved.key_pages(),
                                       .value = moved.value_pages(),
                                       .out = bhsd(out.data(), 2, 1, 1, kDim),
                                       .key_lengths = batch.key_lengths(),
                                       .page_table = batch.page_table(),
                                       .log_sum_exp = {log_sum_exp.data(), {2, 1, 1}}};
    attention(arguments);
    attention_weights(arguments, {}, {}, {.weights = {weights.data(), {2, 1, 1, kTokens}}});
    for (std::size_t b = 0; b < 2; ++b) {
        const float* row = weights.data() + b * kTokens;
        check(near(std::accumulate(row, row + kTokens, 0.0), 1), "weights add up to 1");
        double expected = 0;
        for (std::size_t j = 0; j < kTokens; ++j) expected += static_cast<double>(row[j]) * static_cast<double>(value[j * kDim]);
        check(near(static_cast<double>(out[b * kDim]), expected), "out is what the weights give");
    }
    moved.remove(second);
}

void plan() {
    const AttentionPlan plan({.num_heads = 4, .num_kv_heads = 4, .query_length = 64, .key_length = 64, .head_dim = 32},
                             {.causal = Causal::bottom_right, .softcap = 1.5f});
    const AttentionExplanation explanation = plan.explain();
    check(explanation.kernel == "query-lanes" && explanation.flops > 0, "explain()");
    check(explanation.text().find("softcap") != std::string::npos, "text()");
    try {
        AttentionPlan({.head_dim = -1});
        check(false, "no error");
    } catch (const Error& error) {
        check(std::string(error.what()).find("head_dim is -1") != std::string::npos, "Error");
    }
}

void layer() {
    constexpr std::int64_t kModel = 8, kLength = 5;
    const std::vector<float> qkv = numbers(3 * kModel * kModel), bias = numbers(3 * kModel), output = numbers(kModel * kModel),
                             output_bias = numbers(kModel), x = numbers(kLength * kModel);
    MultiHeadAttention made({.num_heads = 2, .num_kv_heads = 2, .head_dim = 4}, {.qkv = {qkv.data(), {3 * kModel, kModel}},
                                                                                 .output = {output.data(), {kModel, kModel}},
                                                                                 .qkv_bias = bias.data(),
                                                                                 .output_bias = output_bias.data()});
    const MultiHeadAttention layer = std::move(made);
    std::vector<float> out(kLength * kModel), expected(out.size());
    layer.forward({x.data(), {1, kLength, kModel}}, {out.data(), {1, kLength, kModel}});
    const auto weight = [&](std::int64_t i) {
        return TensorView<const float, 2>(qkv.data() + i * kModel * kModel, {kModel, kModel});
    };
    reference::multi_head_attention<float>({x.data(), {1, kLength, kModel}}, {x.data(), {1, kLength, kModel}}, 2, 2,
                                           {.query = weight(0),
                                            .key = weight(1),
                                            .value = weight(2),
                                            .output = {output.data(), {kModel, kModel}},
                                            .query_bias = bias.data(),
                                            .key_bias = bias.data() + kModel,
                                            .value_bias = bias.data() + 2 * kModel,
                                            .output_bias = output_bias.data()},
                                           {expected.data(), {1, kLength, kModel}});
    for (std::size_t i = 0; i < out.size(); ++i)
        check(near(static_cast<double>(out[i]), static_cast<double>(expected[i])), "MultiHeadAttention");
}

void product_and_profile() {
    const std::vector<float> a = numbers(12), b = numbers(20);
    std::vector<float> c(15);
    const PackedMatrix packed({b.data(), {4, 5}});
    Profile profile;
    {
        const ProfileScope scope(profile);
        matmul({a.data(), {3, 4}}, packed, {c.data(), {3, 5}});
    }
    check(profile.runs().size() == 1 && !profile.tasks(0).empty() && profile.dropped() == 0, "Profile");
    double expected = 0;
    for (std::size_t p = 0; p < 4; ++p) expected += static_cast<double>(a[4 + p]) * static_cast<double>(b[p * 5 + 2]);
    check(near(static_cast<double>(c[5 + 2]), expected), "matmul()");
}

}  // namespace

int main() {
    try {
        machine();
        rope();
        cache_and_weights();
        plan();
        layer();
        product_and_profile();
    } catch (const std::exception& error) {
        std::puts(error.what());
        return 1;
    }
    std::puts(failures == 0 ? "right" : "wrong");
    return failures == 0 ? 0 : 1;
}
