#pragma once

#include <span>

#include "engine/tensor/view_check.hpp"
#include "headwise/any_tensor.hpp"
#include "headwise/attention.hpp"

namespace headwise {

/// The tensors of a call, of any element type. Of rank 0: the call has none.
struct CallTensors {
    AnyTensor query, key, value, out, log_sum_exp;
};

CallTensors tensors_of(const AttentionArguments& arguments);

/// The sizes of a call without a plan. Lengths that do not fit are left to check_call().
AttentionShape shape_of(const CallTensors& tensors, const AttentionArguments& arguments);

enum class Rows { adjacent, any_stride };

/// Throws Error where lengths are given in ways that exclude each other.
void check_length_arguments(const AttentionArguments& arguments);

/// Throws Error where the lengths in the arguments do not fit `shape`: all that sequence_at() and positions_of() ask. Reads no data
/// but the lengths; tensors have their extents.
void check_lengths(const AttentionShape& shape, const AttentionOptions& options, const AttentionArguments& arguments);

/// Throws Error where anything that a call takes does not fit `shape`, which has been checked, or overlaps what is written:
/// extents, strides, lengths, positions, pages, masks. Of the tensors in `arguments` only the extents count; `tensors` are what is
/// read and written. A call with out writes it and log_sum_exp; one without out reads log_sum_exp. `results` are what is written
/// beyond these, with extents that the caller has checked; nothing that is written may overlap itself or anything else.
void check_call(const AttentionShape& shape, const AttentionOptions& options, const CallTensors& tensors,
                const AttentionArguments& arguments, std::span<const CheckedView> results = {}, Rows rows = Rows::adjacent);

}  // namespace headwise
