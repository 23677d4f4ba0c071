#pragma once

#include <memory>

#include "files/attention_tensors.hpp"
#include "workloads/workload.hpp"

namespace headwise::tools {

/// Attention on the tensors of a file with all rules that it has beside q, k and v: lengths, masks, pages and the like. check() of
/// it checks nothing: `headwise run --reference` does. Calls it once, so that a call that succeeds here fails nowhere. Throws
/// UsageError, naming file and tensor; also where there is nothing to compute.
std::unique_ptr<Workload> attention_file_workload(const AttentionFile& file, const AttentionFileOptions& options);

}  // namespace headwise::tools
