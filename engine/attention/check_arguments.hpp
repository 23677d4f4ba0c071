#pragma once

#include <span>

#include "engine/tensor/memory_range.hpp"
#include "headwise/attention.hpp"

namespace headwise {

/// Throws Error where ways to give lengths are used together that do not go together.
void check_length_arguments(const AttentionArguments& arguments);

/// Throws Error where the lengths in the arguments do not fit `shape`: all that sequence_at() asks. Reads no tensor's data but the
/// lengths.
void check_lengths(const AttentionShape& shape, const AttentionOptions& options, const AttentionArguments& arguments);

/// Something that the call writes.
struct Written {
    const char* name;
    MemoryRange memory;
};

/// Throws Error where any input but query, key and value does not fit, or overlaps what is written. The lengths are checked.
void check_inputs(const AttentionShape& shape, const AttentionOptions& options, const AttentionArguments& arguments,
                  std::span<const Written> written);

/// Throws Error where log_sum_exp does not fit query. Its memory.
MemoryRange check_log_sum_exp(const AttentionArguments& arguments);

/// Throws Error where anything does not fit: extents, strides, overlaps, positions, pages, masks.
void check_arguments(const AttentionShape& shape, const AttentionOptions& options, const AttentionArguments& arguments);

}  // namespace headwise
