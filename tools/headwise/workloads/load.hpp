#pragma once

#include <memory>
#include <utility>

#include "cases/suite.hpp"
#include "files/attention_file.hpp"
#include "workloads/workload.hpp"

namespace headwise::tools {

/// Throws UsageError where load() would, where there is nothing to time, and where it takes more memory than there is.
void check_plain_attention_file(const AttentionFile& file, const AttentionFileOptions& options, int threads);

/// Makes the tensors of an entry, or reads them: of plain attention.
std::pair<CaseSizes, std::unique_ptr<Workload>> load(const SuiteEntry& entry);

}  // namespace headwise::tools
