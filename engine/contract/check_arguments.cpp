#include "engine/contract/check_arguments.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "engine/contract/argument_list.hpp"
#include "engine/contract/check_numbers.hpp"
#include "engine/contract/check_shape.hpp"
#include "engine/contract/check_values.hpp"
#include "engine/contract/sequences.hpp"
#include "engine/tensor/view_check.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

/// What an extent must be: exactly `value`, or at least that.
struct ExpectedExtent {
    std::int64_t value;
    bool exact;
    const char* meaning;
};

/// The sizes of one call, by axis.
class CallSizes {
  public:
    CallSizes(const AttentionShape& shape, const AttentionArguments& a) : shape_(shape), a_(a) {}

    /// To be called when lengths have been checked, before any size of the longest sequence is used.
    void find_longest() {
        if (std::exchange(knows_longest_, true)) return;
        for (std::int64_t b = 0; b < shape_.batch; ++b) {
            const Sequence sequence = sequence_at(a_, b);
            longest_queries_ = std::max(longest_queries_, sequence.queries);
            longest_keys_ = std::max(longest_keys_, sequence.keys);
        }
    }

    ExpectedExtent of(Axis axis) const {
        const bool ragged = is_ragged(a_), paged = is_paged(a_);
        constexpr const char* kEachToken = "a number for each token";
        switch (axis) {
            case Axis::query_batch: return batch(ragged);
            case Axis::key_batch: return paged ? ExpectedExtent{a_.key.extent[0], true, "the pages of key"} : batch(ragged);
            case Axis::sequences: return {shape_.batch, true, "the batch"};
            case Axis::heads: return {shape_.num_heads, true, "the number of query heads"};
            case Axis::kv_heads: return {shape_.num_kv_heads, true, "the number of key/value heads"};
            case Axis::query_tokens: return {a_.query.extent[2], true, "the length of query"};
            case Axis::key_tokens: return {a_.key.extent[2], true, "the number of keys of key"};
            case Axis::head_dim: return {shape_.head_dim, true, "the head dimension"};
            case Axis::value_dim: return {shape_.value_dim, true, "the value dimension"};
            case Axis::queries: return queries(1);
            case Axis::query_blocks: return queries(a_.block_mask.query_block);
            case Axis::keys: return keys(1);
            case Axis::key_bytes: return keys(8);
            case Axis::key_blocks: return keys(a_.block_mask.key_block);
            case Axis::each_query: return {a_.query.extent[2], false, kEachToken};
            case Axis::each_key: return {paged ? longest_keys_ : a_.key.extent[2], false, kEachToken};
            case Axis::node: return {longest_queries_, false, kEachToken};
            case Axis::any: break;
        }
        return {0, false, ""};
    }

  private:
    ExpectedExtent batch(bool ragged) const {
        return ragged ? ExpectedExtent{1, true, "sequences are packed, one after another"}
                      : ExpectedExtent{shape_.batch, true, "the batch"};
    }
    /// In blocks of `unit`. Only a lower bound if the tensors do not give the number of queries.
    ExpectedExtent queries(std::int64_t unit) const {
        const std::int64_t count = is_ragged(a_) ? longest_queries_ : shape_.query_length;
        return {units(count, unit), !is_ragged(a_), "the queries"};
    }
    ExpectedExtent keys(std::int64_t unit) const {
        const bool exact = !is_ragged(a_) && !is_paged(a_);
        return {units(exact ? a_.key.extent[2] : longest_keys_, unit), exact, "the keys"};
    }
    static std::int64_t units(std::int64_t length, std::int64_t unit) { return (length + unit - 1) / unit; }

    const AttentionShape& shape_;
    const AttentionArguments& a_;
    std::int64_t longest_queries_ = 0, longest_keys_ = 0;
    bool knows_longest_ = false;
};

void check_axis(const char* name, const AnyTensor& view, std::size_t i, const ExpectedExtent& expected, bool repeats) {
    const std::int64_t extent = view.extent[i];
    if ((expected.exact ? extent == expected.value : extent >= expected.value) || (repeats && extent == 1)) return;
    throw Error(std::string(name) + ".extent[" + std::to_string(i) + "] is " + std::to_string(extent) + ", expected " +
                (repeats ? "1 or " : "") + (expected.exact ? "" : "at least ") + std::to_string(expected.value) + ": " +
                expected.meaning);
}

/// An array with one number per query head. check_lengths() has checked the sizes of arrays of lengths.
CheckedView checked_array(const Argument& argument, const AnyTensor& array, const CallSizes& sizes) {
    if (argument.role != Role::lengths)
        check_size(argument.name, static_cast<std::size_t>(array.extent[0]), sizes.of(argument.axes[0].axis).value,
                   "one for each query head");
    return checked_view(argument.name, array);
}

/// Extents, strides and addresses.
CheckedView checked_argument(const Argument& argument, const AnyTensor& view, const CallSizes& sizes, Rows rows) {
    for (std::size_t i = 0; i < view.rank; ++i)
        if (argument.axes[i].axis != Axis::any)
            check_axis(argument.name, view, i, sizes.of(argument.axes[i].axis), argument.axes[i].repeats);
    if (argument.rows_adjacent && rows == Rows::adjacent) check_unit_stride(argument.name, view);
    return checked_view(argument.name, view);
}

/// Some views of a call.
class Views {
  public:
    void add(const CheckedView& view) { views_[count_++] = view; }
    std::span<const CheckedView> all() const { return {views_.data(), count_}; }

  private:
    std::array<CheckedView, 8> views_;
    std::size_t count_ = 0;
};

/// Extents of tensors that say how large others must be.
void check_sizes(const AttentionShape& shape, const CallTensors& tensors, const AttentionArguments& a) {
    if (!is_ragged(a)) check_extent("query", tensors.query, 2, shape.query_length, "the queries of the plan");
    if (tensors.key.extent[2] > kMaxLength) check_range("key.extent[2]", -1, tensors.key.extent[2], 0, kMaxLength, "keys");
    if (tensors.value.rank == 0) return;
    if (tensors.value.extent[2] != tensors.key.extent[2])
        throw Error("key.extent[2] is " + std::to_string(tensors.key.extent[2]) + ", value.extent[2] is " +
                    std::to_string(tensors.value.extent[2]) + ": the number of keys must match");
}

void check_written(std::span<const CheckedView> written) {
    for (std::size_t i = 0; i < written.size(); ++i) {
        check_no_self_overlap(written[i].name, written[i].view);
        for (std::size_t j = i + 1; j < written.size(); ++j) check_apart(written[i], written[j]);
    }
}

void check_block_mask(const BlockMask& mask) {
    if (!mask.visible.data) return;
    check_range("block_mask.query_block", -1, mask.query_block, 1, kMaxLength, "queries in a block");
    check_range("block_mask.key_block", -1, mask.key_block, 1, kMaxLength, "keys in a block");
}

/// What is written must not be where anything is read.
void check_apart_from(std::span<const CheckedView> written, const CheckedView& read) {
    for (const CheckedView& out : written) check_apart(out, read);
}

}  // namespace

CallTensors tensors_of(const AttentionArguments& a) {
    CallTensors tensors{a.query, a.key, a.value, a.out, {}};
    if (a.log_sum_exp.data) tensors.log_sum_exp = a.log_sum_exp;
    return tensors;
}

AttentionShape shape_of(const CallTensors& tensors, const AttentionArguments& a) {
    AttentionShape shape{.batch = tensors.query.extent[0],
                         .num_heads = tensors.query.extent[1],
                         .num_kv_heads = tensors.key.extent[1],
                         .query_length = tensors.query.extent[2],
                         .key_length = tensors.key.extent[2],
                         .head_dim = tensors.query.extent[3],
                         .value_dim = tensors.value.rank > 0 ? tensors.value.extent[3] : tensors.query.extent[3]};
    const PrefixSums& sums = a.cumulative_query_lengths;
    if (sums.empty() || !sums.bytes().data()) return shape;
    shape.batch = static_cast<std::int64_t>(sums.size()) - 1;
    shape.query_length = 0;
    // check_lengths() refuses sums that fall or go beyond the tensor, by name; their differences may exceed 64 bits.
    for (std::size_t i = 1; i < sums.size(); ++i)
        if (0 <= sums[i - 1] && sums[i - 1] <= sums[i] && sums[i] <= tensors.query.extent[2])
            shape.query_length = std::max(shape.query_length, sums[i] - sums[i - 1]);
    return shape;
}

void check_call(const AttentionShape& shape, const AttentionOptions& options, const CallTensors& tensors,
                const AttentionArguments& a, std::span<const CheckedView> results, Rows rows) {
    CallSizes sizes(shape, a);
    check_length_arguments(a);
    check_sizes(shape, tensors, a);
    Views written, read;
    for (const CheckedView& result : results) written.add(result);
    for_each_tensor(tensors, [&](const Argument& argument, const AnyTensor& view) {
        if (view.rank == 0) return;
        const CheckedView checked = checked_argument(argument, view, sizes, rows);
        if (argument.role == Role::result && tensors.out.rank > 0)
            written.add(checked);
        else
            read.add(checked);
    });
    check_lengths(shape, options, a);
    check_written(written.all());
    for (const CheckedView& view : read.all()) check_apart_from(written.all(), view);
    check_block_mask(a.block_mask);
    for_each_rule(a, [&](const Argument& argument, const auto& x) {
        if (!is_given(x)) return;
        sizes.find_longest();
        const AnyTensor view = as_any(x);
        check_apart_from(written.all(),
                         view.rank == 1 ? checked_array(argument, view, sizes) : checked_argument(argument, view, sizes, rows));
    });
    check_values(shape, options, tensors, a);
}

}  // namespace headwise
