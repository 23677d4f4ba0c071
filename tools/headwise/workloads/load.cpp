#include "workloads/load.hpp"

#include <fmt/format.h>

#include "buffers/memory_limit.hpp"
#include "files/attention_rules.hpp"
#include "files/attention_tensors.hpp"
#include "headwise/attention.hpp"
#include "workloads/case_memory.hpp"

namespace headwise::tools {

void check_plain_attention_file(const AttentionFile& file, const AttentionFileOptions& options, int threads) {
    const AttentionCase sizes = plain_attention_case(file, options);
    const AttentionShape& shape = sizes.shape;
    check_memory(fmt::format("'{}' takes", file.path()), case_bytes(sizes, threads) + expected_bytes(file, shape),
                 case_memory_limit());
    checked_expected_rows(file, shape);
    file.expect(shape.batch != 0 && shape.query_length != 0 && shape.key_length != 0, "nothing to time: q or k is empty");
    try {
        const AttentionPlan plan(shape, {.causal = options.causal, .scale = options.scale});
    } catch (const Error& error) {
        throw error_of_file(file, error);
    }
}

std::pair<CaseSizes, std::unique_ptr<Workload>> load(const SuiteEntry& entry) {
    if (entry.file.empty()) return {entry.sizes, make_workload(entry.sizes)};
    AttentionTensors tensors = read_attention_tensors_with_expected(entry.file, entry.file_options);
    const CaseSizes sizes = tensors.sizes;
    return {sizes, attention_workload(std::move(tensors))};
}

}  // namespace headwise::tools
