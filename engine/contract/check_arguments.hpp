#pragma once

#include <span>

#include "engine/tensor/view_check.hpp"
#include "headwise/any_tensor.hpp"
#include "headwise/attention.hpp"

namespace headwise {

/// The tensors of a call, of any element type. Rank 0: the call has no such tensor.
struct CallTensors {
    AnyTensor query, key, value, out, log_sum_exp;
};

CallTensors tensors_of(const AttentionArguments& arguments);

/// The sizes of a call without a plan. check_call() refuses lengths that do not fit.
AttentionShape shape_of(const CallTensors& tensors, const AttentionArguments& arguments);

enum class Rows { adjacent, any_stride };

/// Throws Error if arguments give lengths in ways that exclude each other, or one that needs another is missing.
void check_length_arguments(const AttentionArguments& arguments);

/// Throws Error if the lengths in the arguments do not fit `shape`: everything that sequence_at() and positions_of() rely on. Reads
/// no data except the lengths. The tensors need only their extents.
void check_lengths(const AttentionShape& shape, const AttentionOptions& options, const AttentionArguments& arguments);

/// Throws Error if anything that a call takes does not fit `shape` (already checked) or overlaps what is written: extents, strides,
/// lengths, positions, pages, masks. `tensors` are what is read and written; of the tensors in `arguments` only the extents count.
/// A call with out writes out and log_sum_exp; a call without out reads log_sum_exp. `results` are further results, whose extents
/// the caller has checked. No result may overlap itself or anything else.
void check_call(const AttentionShape& shape, const AttentionOptions& options, const CallTensors& tensors,
                const AttentionArguments& arguments, std::span<const CheckedView> results = {}, Rows rows = Rows::adjacent);

}  // namespace headwise
