#include "workloads/case_memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

#include "buffers/memory_limit.hpp"
#include "files/attention_rules.hpp"
#include "files/attention_tensors.hpp"
#include "headwise/cpu.hpp"
#include "measure/accuracy.hpp"
#include "measure/machine_probe.hpp"
#include "workloads/layer_check.hpp"

namespace headwise::tools {
namespace {

constexpr double kFloat = sizeof(float), kDouble = sizeof(double);
constexpr double kBuffer = 2 << 20;          // that a FloatBuffer may take beyond its elements
constexpr double kWorker = 2 << 20;          // of attention's workspace, at most; of products less
constexpr double kSequence = 128;            // likewise
constexpr double kPacking = 2 * (16 << 20);  // of products: what is in use, and as much that the pool keeps from another size
constexpr double kGrowth = 3;                // of a vector that grows by doubling: the elements, and while it moves twice as many

double product(std::initializer_list<std::int64_t> factors) {
    double result = 1;
    for (const std::int64_t factor : factors) result *= static_cast<double>(factor);
    return result;
}

/// Of the list of rows that are checked.
double sample_bytes(double total_rows, double flops_per_row) {
    return kGrowth * sizeof(std::int64_t) * std::min(total_rows, sampled_row_count(flops_per_row));
}

double bytes_of(const AttentionCase& c, int threads) {
    const AttentionShape& s = c.shape;
    const std::int64_t dims = s.head_dim + s.value_dim;
    const double rows = product({s.batch, s.num_heads, s.query_length});
    const double tensors = kFloat * (rows * static_cast<double>(dims) + product({s.batch, s.num_kv_heads, s.key_length, dims}));
    // Keys and values of a head in f64, and of the head before while they are made; of the naive loop's one row, the keys that are
    // seen, as std::int64_t, and their weights.
    const double check = 2 * kDouble * product({s.key_length, dims}) +
                         kGrowth * (sizeof(std::int64_t) + kDouble) * static_cast<double>(s.key_length);
    return tensors + 4 * kBuffer + workspace_bytes(threads, s.batch) + check +
           sample_bytes(rows, 2 * product({s.key_length, dims}));
}

double bytes_of(const MatmulCase& c, int threads) {
    const double tensors =
        kFloat * static_cast<double>(c.batch) * (product({c.m, c.k}) + product({c.k, c.n}) + product({c.m, c.n}));
    // A matrix b in f64, and that before while it is made; rows of a and c.
    const double check =
        kDouble * ((c.batch > 1 ? 2 : 1) * product({c.k, c.n}) + static_cast<double>(c.k) + 2 * static_cast<double>(c.n));
    return tensors + 3 * kBuffer + kWorker * threads + kPacking + check +
           sample_bytes(product({c.batch, c.m}), 2 * product({c.n, c.k}));
}

double bytes_of(const LayerCase& c, int threads) {
    const std::int64_t kv_rows = 2 * c.num_kv_heads * c.head_dim(), qkv_rows = c.model_dim + kv_rows;
    // Panels are padded to 16 columns, rows of intermediates to an odd number of cache lines.
    const double weights = product({qkv_rows + c.model_dim, c.model_dim});
    const double packed = product({qkv_rows + c.model_dim + 2 * 64, c.model_dim});
    const double tensors = kFloat * (2 * product({c.batch, c.length, c.model_dim}) + weights + packed);
    // What lies between the steps, of as many sequences as half the last cache holds, at least of one.
    const double sequence = kFloat * product({c.length, qkv_rows + c.model_dim + 2 * 32});
    const double between = std::max(
        sequence, std::min(sequence * static_cast<double>(c.batch), static_cast<double>(cpu_info().caches.usable().l3) / 2));
    double check = 0;
    if (is_layer_checked(c)) {
        const std::int64_t rows = layer_check_rows(c);
        check = kDouble *
                    (product({c.length, c.model_dim}) + weights + product({c.length, kv_rows}) + 3 * product({rows, c.model_dim})) +
                kGrowth * (sizeof(std::int64_t) + kDouble) * static_cast<double>(c.length);
    }
    return tensors + 6 * kBuffer + between + kWorker * threads + kPacking + check;
}

}  // namespace

double case_bytes(const CaseSizes& sizes, int threads) {
    return std::visit([threads](const auto& c) { return bytes_of(c, threads); }, sizes);
}

double workspace_bytes(int threads, std::int64_t sequences) {
    return kWorker * threads + kSequence * static_cast<double>(sequences);
}

double attention_file_bytes(const AttentionFile& file, int threads) {
    const double packed = kSequence * file.bytes("cu_seqlens_q") / sizeof(std::int32_t);
    return attention_tensor_bytes(file) + attention_rule_bytes(file) + 4 * kBuffer +
           workspace_bytes(threads, file.extents("q")[0]) + packed;
}

double case_memory_limit() {
    return std::max(0.0, 0.8 * available_memory() - MachineProbe::memory_bytes());
}

void check_case_memory(const CaseSizes& sizes, int threads, double limit_bytes) {
    check_memory(fmt::format("case '{}' takes", case_text(sizes)), case_bytes(sizes, threads), limit_bytes);
}

void check_case_memory(const CaseSizes& sizes, int threads) {
    check_case_memory(sizes, threads, case_memory_limit());
}

}  // namespace headwise::tools
