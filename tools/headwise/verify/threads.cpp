#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "buffers/float_buffer.hpp"
#include "headwise/attention.hpp"
#include "headwise/cpu.hpp"
#include "measure/thread_team.hpp"
#include "verify/checks.hpp"

namespace headwise::tools {
namespace {

struct LargeCall {
    const char* name;
    AttentionShape shape;
    AttentionOptions options;
};

std::vector<LargeCall> large_calls() {
    return {
        {"4 heads of 600 queries and keys, causal",
         {.num_heads = 4, .num_kv_heads = 4, .query_length = 600, .key_length = 600, .head_dim = 64},
         {.causal = Causal::bottom_right}},
        {"1 query on 20000 keys", {.num_heads = 4, .num_kv_heads = 1, .query_length = 1, .key_length = 20000, .head_dim = 64}, {}},
        {"5 sequences of 70 queries on 333 keys, window",
         {.batch = 5, .num_heads = 6, .num_kv_heads = 2, .query_length = 70, .key_length = 333, .head_dim = 80},
         {.window = {.left = 100, .right = 20}}}};
}

FloatBuffer random_buffer(std::int64_t size, std::uint64_t seed) {
    FloatBuffer buffer(size);
    fill_random(buffer.span(), seed);
    return buffer;
}

/// The outputs with each number of threads.
std::vector<FloatBuffer> outputs(const LargeCall& call, const std::vector<int>& thread_counts) {
    const auto& [batch, heads, kv_heads, queries, keys, dim, value_dim] = call.shape;
    const FloatBuffer query = random_buffer(batch * heads * queries * dim, 1);
    const FloatBuffer key = random_buffer(batch * kv_heads * keys * dim, 2);
    const FloatBuffer value = random_buffer(batch * kv_heads * keys * dim, 3);
    std::vector<FloatBuffer> results;
    for (const int threads : thread_counts) {
        results.emplace_back(query.size());
        ThreadTeam team(threads);
        team.run([&] {
            attention(bhsd<const float>(query.data(), batch, heads, queries, dim),
                      bhsd<const float>(key.data(), batch, kv_heads, keys, dim),
                      bhsd<const float>(value.data(), batch, kv_heads, keys, dim),
                      bhsd(results.back().data(), batch, heads, queries, dim), call.options);
        });
    }
    return results;
}

bool same(const FloatBuffer& a, const FloatBuffer& b) {
    return std::memcmp(a.data(), b.data(), a.span().size_bytes()) == 0;
}

}  // namespace

CheckResult verify_thread_counts(const std::vector<int>& thread_counts) {
    CheckResult result{.isa = active_isa(), .check = "same bits", .unit = "differ"};
    result.things = fmt::format("large calls, {} thread{}", fmt::join(thread_counts, ", "), thread_counts.back() == 1 ? "" : "s");
    for (const LargeCall& call : large_calls()) {
        const std::vector<FloatBuffer> results = outputs(call, thread_counts);
        std::vector<int> others;
        for (std::size_t i = 1; i < results.size(); ++i)
            if (!same(results[0], results[i])) others.push_back(thread_counts[i]);
        result.add(others.empty() ? 0 : 1,
                   [&] { return fmt::format("{}: other bits than with 1 thread with {}", call.name, fmt::join(others, ", ")); });
    }
    result.worst = static_cast<double>(result.failed);
    return result;
}

}  // namespace headwise::tools
