#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "headwise/score_function.hpp"
#include "headwise/tensor.hpp"

namespace headwise {

/// Where each sequence of a packed buffer begins: sums[0] = 0, then the sum of the first 1, 2, ... lengths, in the end the total.
/// A view of the caller's array, of either width; empty by default.
class PrefixSums {
  public:
    constexpr PrefixSums() = default;
    constexpr PrefixSums(std::span<const std::int32_t> sums)  // NOLINT(google-explicit-constructor)
        : narrow_(sums.data()), size_(sums.size()) {}
    constexpr PrefixSums(std::span<const std::int64_t> sums)  // NOLINT(google-explicit-constructor)
        : wide_(sums.data()), size_(sums.size()) {}

    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr std::int64_t operator[](std::size_t i) const noexcept { return narrow_ ? narrow_[i] : wide_[i]; }
    std::span<const std::byte> bytes() const noexcept {
        return narrow_ ? std::as_bytes(std::span(narrow_, size_)) : std::as_bytes(std::span(wide_, size_));
    }

  private:
    const std::int32_t* narrow_ = nullptr;
    const std::int64_t* wide_ = nullptr;
    std::size_t size_ = 0;
};

/// Which (query block, key block) pairs may be seen: a byte each, 0 for no. [batch or 1, num_heads or 1, query blocks or 1, key
/// blocks]. Queries i with i / query_block = x and keys j with j / key_block = y form the pair (x, y).
struct BlockMask {
    TensorView<const std::uint8_t, 4> visible{};
    std::int64_t query_block = 0, key_block = 0;
};

/// All that one attention call reads and writes. What is left out (empty span, data == nullptr) is not there: its rule does not
/// apply. All rules compose: a key is seen where each of them allows it.
///
/// The four tensors are [batch, heads, length, dim] in this order with any strides between, the last one 1. Extents of 1 where
/// "or 1" is said are repeated, as is any extent by a stride of 0; nothing is expanded.
///
/// One logit is: scale * <query, key>; softcap; score function; + bias, + ALiBi; masked. Causal, window, prefix, ALiBi and RoPE
/// compare positions: key j is at j and query i at i + (keys of the sequence - queries of the sequence), or at i where the options
/// say top-left, unless first_query_positions and first_key_positions say otherwise. A bias or score of -Inf masks. Finite ones are
/// numbers, however low: a row with a bias of -1e9 on all its keys is a mean of their values, one with -Inf on all of them is 0. To
/// hide padding use lengths, a mask or -Inf. Below -2.35e38 (-0x1.62p127) a number is taken to be -2.35e38; above 2.36e38
/// (0x1.63p127) it is taken to be +Inf, and so is a logit.
struct AttentionArguments {
    TensorView<const float, 4> query{};  ///< [batch, num_heads, query_length, head_dim]
    TensorView<const float, 4> key{};    ///< [batch, num_kv_heads, key_length, head_dim]
    TensorView<const float, 4> value{};  ///< [batch, num_kv_heads, key_length, value_dim]
    TensorView<float, 4> out{};          ///< [batch, num_heads, query_length, value_dim]; overlaps nothing that is read

    // ---- Which tokens there are

    /// [batch]: sequence b has the queries 0 .. query_lengths[b] - 1 of the tensor; out is 0 and log_sum_exp -Inf beyond.
    std::span<const std::int32_t> query_lengths{};
    /// [batch]: sequence b has the keys 0 .. key_lengths[b] - 1; what lies beyond is not read.
    std::span<const std::int32_t> key_lengths{};
    /// [batch + 1]: sequences lie one behind the other ("ragged", "varlen"). The tensors' batch is 1; sequence b has the queries
    /// q[b] .. q[b + 1] - 1 of the tensor's length, and with cumulative_key_lengths the keys likewise. Both are given, or, with
    /// paged keys, the first and key_lengths. Not with query_lengths.
    PrefixSums cumulative_query_lengths{}, cumulative_key_lengths{};
    /// [batch, most pages of a sequence]: keys and values lie in pages. `key` and `value` are then pools [pages, num_kv_heads, page
    /// size, dim], key j of sequence b is row j % page size of page page_table[b, j / page size]. With key_lengths.
    TensorView<const std::int32_t, 2> page_table{};

    /// [batch]: sequence b's query i is at position first_query_positions[b] + i, its key j at first_key_positions[b] + j, each
    /// within 2^40 of 0. Without the first the queries are aligned with the sequence's keys, as options.causal or options.alignment
    /// says, wherever these are; without the second keys start at 0. So a call may attend to any range of a sequence's keys (a
    /// chunk of a prompt, a part that another machine holds, what a window left of a cache), and merge_states() of such calls is
    /// attention over all of them. Masks, biases and score functions still count keys from the first of the call.
    std::span<const std::int64_t> first_query_positions{}, first_key_positions{};

    /// The first shared_keys keys of every sequence are the same memory: a prefix that many sequences have in common, as a system
    /// prompt is. They are read once for all the sequences rather than once for each ("cascade attention"); the result is that of
    /// shared_keys = 0 up to rounding, and key j is still key j to every rule. With options.shared_prefix. No sequence has fewer
    /// keys. Either page_table is given, shared_keys is a multiple of the page size and the first shared_keys / page size entries
    /// of all its rows are the same; or key and value have a batch of 1 or a batch stride of 0. So has key_positions, if given;
    /// first_key_positions, if given, are all the same. Not with cumulative_key_lengths.
    ///
    /// A sequence joins the others where options.causal, options.window and prefix_lengths let all of its queries see all the
    /// shared keys, and none of these is a node of its tree; any other one reads its keys by itself, as without. The shared part's
    /// work is divided by key/value head, blocks of up to 64 (query, head in group) pairs of any sequences, and chunks of keys.
    std::int64_t shared_keys = 0;

    // ---- Logits

    std::span<const float> scales{};        ///< [num_heads], instead of options.scale
    std::span<const float> alibi_slopes{};  ///< [num_heads]: adds slope * (key position - query position)
    TensorView<const float, 4> bias{};      ///< [batch or 1, num_heads or 1, query_length or 1, key_length], added; -Inf masks
    ScoreFunction score_function{};         ///< the caller's own
    /// [num_heads]: one more logit per row, which takes part in the softmax's denominator and has no value ("attention sink").
    std::span<const float> sinks{};
    /// [batch or 1, length], as the tokens of query and key lie (where keys are paged: by sequence): positions that RoPE turns them
    /// for, instead of those above. With options.rope.
    TensorView<const std::int32_t, 2> query_positions{}, key_positions{};

    // ---- Which keys a query sees, beside options.causal and options.window

    /// [batch or 1, num_heads or 1, query_length or 1, key_length]: a byte for each pair, 0 hides.
    TensorView<const std::uint8_t, 4> mask{};
    /// The same as bits: key j is bit j % 8 (the lowest is 0) of byte j / 8. The last extent is (key_length + 7) / 8.
    TensorView<const std::uint8_t, 4> mask_bits{};
    BlockMask block_mask{};
    /// [batch]: keys at positions below prefix_lengths[b] are seen by all queries of the sequence, whatever options.causal says
    /// ("prefix LM").
    std::span<const std::int32_t> prefix_lengths{};
    /// [batch or 1, query_length]: the queries are nodes of a tree, given by the parent's index, -1 for a root; a parent comes
    /// before its children. They are the sequence's last keys, or with first_query_positions the keys at the queries' positions, of
    /// which there may be none. A query sees what comes before all of them, its ancestors, and itself.
    TensorView<const std::int32_t, 2> tree_parents{};

    // ---- More results

    /// [batch, num_heads, query_length], any strides: the natural log of the softmax's denominator, a sink included. -Inf where
    /// nothing is allowed.
    TensorView<float, 3> log_sum_exp{};
};

}  // namespace headwise
