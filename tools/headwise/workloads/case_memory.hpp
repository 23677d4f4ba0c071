#pragma once

#include "cases/case.hpp"
#include "files/attention_file.hpp"

namespace headwise::tools {

/// Bytes that a case takes while it is made, run on so many threads and checked, at most: its tensors, packed weights and
/// workspaces, and what the naive loops in f32 and f64 hold beside them. Without what the program takes for any case.
double case_bytes(const CaseSizes& sizes, int threads);

/// Of these the workspace of attention of so many sequences, at most.
double workspace_bytes(int threads, std::int64_t sequences);

/// Bytes that attention takes on the tensors of a file, with all the rules in it: those that it reads as they are in memory, the
/// result and the workspaces. By the file's header alone. Throws UsageError where q, k and v do not fit together.
double attention_file_bytes(const AttentionFile& file, int threads);

/// What is free for a case beside the yardstick's own buffer.
double case_memory_limit();

/// Throws UsageError where the case takes more than `limit_bytes`.
void check_case_memory(const CaseSizes& sizes, int threads, double limit_bytes);

/// The same with case_memory_limit().
void check_case_memory(const CaseSizes& sizes, int threads);

}  // namespace headwise::tools
