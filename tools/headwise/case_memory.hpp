#pragma once

#include "case.hpp"

namespace headwise::tools {

/// Bytes that a case takes while it is made, run on so many threads and checked, at most: its tensors, packed weights and
/// workspaces, and what the naive loops in f32 and f64 hold beside them. Without what the program takes for any case.
double case_bytes(const CaseSizes& sizes, int threads);

/// Throws UsageError where the case takes more than `limit_bytes`.
void check_case_memory(const CaseSizes& sizes, int threads, double limit_bytes);

/// The same with what is free beside the yardstick's own buffer.
void check_case_memory(const CaseSizes& sizes, int threads);

}  // namespace headwise::tools
