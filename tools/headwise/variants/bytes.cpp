#include "variants/bytes.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "buffers/memory_limit.hpp"
#include "workloads/case_memory.hpp"

namespace headwise::tools {
namespace {

constexpr double kFloat = sizeof(float), kDouble = sizeof(double);
constexpr double kPieces = 12 * (2 << 20);  // that the FloatBuffers of both calls may take beyond their elements

double elements(std::int64_t a, std::int64_t b, std::int64_t c = 1, std::int64_t d = 1) {
    return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c) * static_cast<double>(d);
}

double elements_read(const AttentionShape& s) {
    return elements(s.batch, s.num_heads, s.query_length, s.head_dim) +
           elements(s.batch, s.num_kv_heads, s.key_length, s.head_dim + s.value_dim);
}

/// All weights of a head, in f32 and f64.
double naive_weights_bytes(const AttentionShape& s) {
    return (kFloat + kDouble) * elements(s.query_length, s.key_length);
}

}  // namespace

double bytes_of_pairs(const AttentionShape& s) {
    return kFloat * elements(s.query_length, s.key_length);
}

double bytes_of_copies(const AttentionShape& s) {
    // The naive loops in f64 have a head of a sequence twice as long.
    return kFloat * elements_read(s) + kDouble * elements(s.query_length + s.key_length, s.head_dim + s.value_dim);
}

double bytes_of_pool(const AttentionShape& s, std::int64_t keys) {
    // The naive loops in f64 have a head of the whole pool.
    return elements(keys, s.head_dim + s.value_dim) * (kFloat * static_cast<double>(s.num_kv_heads) + kDouble);
}

double bytes_of_values(const AttentionShape& s) {
    return 2 * bytes_of_pairs(s) + kFloat * elements_read(s);
}

double bytes_of_weights(const AttentionShape& s) {
    return bytes_of_values(s) + naive_weights_bytes(s) + kFloat * elements(s.batch, s.num_heads, s.query_length, s.key_length);
}

double bytes_of_top_weights(const AttentionShape& s, std::int64_t k) {
    const double each = kFloat + sizeof(std::int32_t);
    return 2 * bytes_of_pairs(s) + naive_weights_bytes(s) + each * elements(s.batch, s.num_heads, s.query_length, k);
}

double bytes_of_states(const AttentionShape& s) {
    return 4 * kFloat * elements(s.batch, s.num_heads, s.query_length, s.value_dim + 1);
}

double variant_bytes(const VariantEntry& entry, int threads) {
    const AttentionShape& s = entry.shape;
    const double tensors = kFloat * (elements_read(s) + elements(s.batch, s.num_heads, s.query_length, s.value_dim));
    // Of a head in f64 queries, keys and values; rows by the naive loops in f32 and f64.
    const double check = kDouble * (elements(s.query_length, s.head_dim) + elements(s.key_length, s.head_dim + s.value_dim)) +
                         (kFloat + kDouble) * elements(s.query_length, s.value_dim + 1);
    return tensors + kPieces + 2 * workspace_bytes(threads, s.batch) + check + (entry.more != nullptr ? entry.more(s) : 0);
}

void check_suite_memory(const std::string& suite, const std::vector<VariantEntry>& entries, int threads, double limit_bytes) {
    const auto bytes = [threads](const VariantEntry& entry) { return variant_bytes(entry, threads); };
    const auto largest = std::ranges::max_element(entries, {}, bytes);
    check_memory(fmt::format("--suite {}: '{}: {}' takes", suite, largest->base, largest->name), bytes(*largest), limit_bytes);
}

}  // namespace headwise::tools
