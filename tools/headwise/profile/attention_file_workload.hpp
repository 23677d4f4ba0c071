#pragma once

#include <memory>
#include <string>

#include "workload.hpp"

namespace headwise::tools {

/// Attention on the tensors of a file with all rules that it has beside q, k and v: lengths, masks, pages and the like. check() of
/// it checks nothing: `headwise run --reference` does. Throws UsageError, naming file and tensor; also where there is nothing to
/// compute.
std::unique_ptr<Workload> attention_file_workload(const std::string& path, const AttentionFileOptions& options);

}  // namespace headwise::tools
