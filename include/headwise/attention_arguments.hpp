#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "headwise/score_function.hpp"
#include "headwise/tensor.hpp"

namespace headwise {

/// Where each sequence of a packed buffer begins: sums[0] = 0, then the sum of the first 1, 2, ... lengths; the last one is the
/// total. A view of the caller's array of 32-bit or 64-bit integers; empty by default.
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

/// Which blocks of (query, key) pairs are visible: one byte per block, 0 hides it. [batch or 1, num_heads or 1, query blocks or 1,
/// key blocks]. Query i and key j belong to query block i / query_block and key block j / key_block.
struct BlockMask {
    TensorView<const std::uint8_t, 4> visible{};
    std::int64_t query_block = 0, key_block = 0;
};

/// Everything one attention call reads and writes. Leave out what you do not need (empty span, data == nullptr); its rule then does
/// not apply. Rules compose: a key is seen if every rule allows it.
///
/// query, key, value and out are [batch, heads, length, dim], in this order, with any strides; the last one is 1. Where a shape
/// says "or 1", an extent of 1 is repeated. A stride of 0 repeats any extent of an input but the last one, along which elements are
/// adjacent. Repeated data is not copied.
///
/// A logit is computed in this order: scale * <query, key>; softcap; score function; + bias, + ALiBi; masks. Causal, window,
/// prefix, ALiBi and RoPE use positions. Key j is at position j. Query i is at i + (keys of the sequence - queries of the
/// sequence), or at i if the options say top-left. first_query_positions and first_key_positions override this.
///
/// A bias or score of -Inf masks. A finite one never does, however low: with a bias of -1e9 on all its keys, a row is a mean of
/// their values; with -Inf on all of them, it is 0. To hide padding, use lengths, a mask or -Inf. A number below -2.35e38
/// (-0x1.62p127) counts as -2.35e38. A number above 2.36e38 (0x1.63p127) counts as +Inf, and so does a logit.
struct AttentionArguments {
    TensorView<const float, 4> query{};  ///< [batch, num_heads, query_length, head_dim]
    TensorView<const float, 4> key{};    ///< [batch, num_kv_heads, key_length, head_dim]
    TensorView<const float, 4> value{};  ///< [batch, num_kv_heads, key_length, value_dim]
    TensorView<float, 4> out{};          ///< [batch, num_heads, query_length, value_dim]; must not overlap anything that is read

    // ---- Which tokens there are

    /// [batch]: sequence b has queries 0 .. query_lengths[b] - 1 of the tensor. Beyond them, out is set to 0 and log_sum_exp to
    /// -Inf.
    std::span<const std::int32_t> query_lengths{};
    /// [batch]: sequence b has keys 0 .. key_lengths[b] - 1. Nothing beyond them is read.
    std::span<const std::int32_t> key_lengths{};
    /// [batch + 1]: sequences are packed one after another ("ragged", "varlen"). The tensors' batch is 1. Sequence b has queries
    /// q[b] .. q[b + 1] - 1 of the tensor's length, with q = cumulative_query_lengths; cumulative_key_lengths does the same for its
    /// keys. Pass both, or with paged keys cumulative_query_lengths and key_lengths. Do not combine with query_lengths.
    PrefixSums cumulative_query_lengths{}, cumulative_key_lengths{};
    /// [batch, most pages of any sequence]: keys and values are in pages. `key` and `value` are then pools [pages, num_kv_heads,
    /// page size, dim]. Key j of sequence b is row j % page size of page page_table[b, j / page size]. Needs key_lengths.
    TensorView<const std::int32_t, 2> page_table{};

    /// [batch]: query i of sequence b is at position first_query_positions[b] + i, key j at first_key_positions[b] + j. Each entry
    /// is within 2^40 of 0. Without first_query_positions, queries are aligned with the sequence's keys as options.causal or
    /// options.alignment says, wherever these keys start. Without first_key_positions, keys start at 0.
    ///
    /// So a call can attend to any range of a sequence's keys: a chunk of a prompt, a part on another machine, what a window has
    /// left of a cache. merge_states() of such calls gives attention over all of these keys. Masks, biases and score functions
    /// still count keys from the first key of the call.
    std::span<const std::int64_t> first_query_positions{}, first_key_positions{};

    /// The length of a common prefix, such as a system prompt: the first shared_keys keys of every sequence are the same memory.
    /// They are read once, not once per sequence ("cascade attention"). Up to rounding the result is the same as with 0, and every
    /// rule still counts them as keys 0, 1, ... Needs options.shared_prefix and at least shared_keys keys in each sequence. Not
    /// with cumulative_key_lengths.
    ///
    /// With a page_table, shared_keys is a multiple of the page size, and the first shared_keys / page size entries of all rows are
    /// the same. Without one, key and value have a batch of 1 or a batch stride of 0. key_positions, if given, always has a batch
    /// of 1 or a batch stride of 0. first_key_positions, if given, are all the same.
    ///
    /// A sequence takes part if options.causal, options.window and prefix_lengths let all of its queries see the whole common
    /// prefix, and no key of the prefix is a node of its tree. Any other sequence reads the prefix by itself, as with 0. The work
    /// on the prefix is divided by key/value head, into blocks of up to 64 (query, head in group) pairs of any sequences, and into
    /// key ranges.
    std::int64_t shared_keys = 0;

    // ---- Logits

    std::span<const float> scales{};        ///< [num_heads], instead of options.scale
    std::span<const float> alibi_slopes{};  ///< [num_heads]: adds slope * (key position - query position)
    TensorView<const float, 4> bias{};      ///< [batch or 1, num_heads or 1, query_length or 1, key_length], added; -Inf masks
    ScoreFunction score_function{};         ///< the caller's function, applied to scores
    /// [num_heads]: an extra logit per row that counts in the softmax's denominator but has no value ("attention sink").
    std::span<const float> sinks{};
    /// [batch or 1, length], in the order of the tokens of query and key (for paged keys: per sequence): the positions by which
    /// RoPE rotates them, instead of the default ones above. Needs options.rope.
    TensorView<const std::int32_t, 2> query_positions{}, key_positions{};

    // ---- Which keys a query sees, in addition to options.causal and options.window

    /// [batch or 1, num_heads or 1, query_length or 1, key_length]: one byte per pair, 0 hides it.
    TensorView<const std::uint8_t, 4> mask{};
    /// The same as bits: key j is bit j % 8 (0 is the lowest) of byte j / 8. The last extent is (key_length + 7) / 8.
    TensorView<const std::uint8_t, 4> mask_bits{};
    BlockMask block_mask{};
    /// [batch]: all queries of sequence b see the keys at positions below prefix_lengths[b], whatever options.causal says ("prefix
    /// LM"); 0: no such keys, also if positions start below 0.
    std::span<const std::int32_t> prefix_lengths{};
    /// [batch or 1, query_length]: the queries are nodes of a tree. Each entry is the index of the query's parent, which comes
    /// before it; -1 marks a root. The nodes are the sequence's last keys. With first_query_positions they are the keys at the
    /// queries' positions, which the call need not have. A query sees all keys before the nodes, its ancestors, and itself.
    TensorView<const std::int32_t, 2> tree_parents{};

    // ---- More results

    /// [batch, num_heads, query_length], any strides: the natural log of the softmax's denominator, including a sink. -Inf if a row
    /// sees no key and has no sink.
    TensorView<float, 3> log_sum_exp{};
};

}  // namespace headwise
