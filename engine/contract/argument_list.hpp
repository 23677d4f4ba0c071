#pragma once

#include <cstdint>
#include <span>

#include "engine/contract/sequences.hpp"
#include "headwise/any_tensor.hpp"
#include "headwise/attention_arguments.hpp"

// Everything that one call of attention takes, listed once. Checks, overlaps, strides and the names in explain() follow from this
// list.
namespace headwise {

/// The size of the call that an extent must match.
enum class Axis : std::uint8_t {
    query_batch,   ///< of tensors of queries: the batch, or 1 if sequences are packed
    key_batch,     ///< of tensors of keys: the same, or the pages of a pool
    sequences,     ///< the batch
    heads,         ///< query heads
    kv_heads,      ///< key/value heads
    query_tokens,  ///< the length of tensors of queries
    key_tokens,    ///< the length of tensors of keys: all keys, or the keys of a page
    queries,       ///< of the longest sequence
    keys,
    key_bytes,  ///< keys as bits, 8 per byte
    query_blocks,
    key_blocks,
    head_dim,
    value_dim,
    each_query,  ///< a number per token of query, in its layout
    each_key,    ///< a number per token of key, in its layout; for paged keys, per key of the longest sequence
    node,        ///< a number per query of the longest sequence
    any,
};

struct ArgumentAxis {
    Axis axis = Axis::any;
    bool repeats = false;  ///< an extent of 1 is repeated
};

enum class Role : std::uint8_t {
    tensor,   ///< query, key or value
    result,   ///< out or log_sum_exp
    input,    ///< numbers that rules use
    lengths,  ///< how many tokens sequences have, and where they are
};

struct Argument {
    const char* name;
    const char* rule;  ///< its name in explain(); null: not named
    Role role;
    ArgumentAxis axes[AnyTensor::kMaxRank];
    bool rows_adjacent = true;  ///< the last stride is 1
};

/// Calls visit(argument, view) for the members query, key, value, out and log_sum_exp of `call`. A view without data is not given.
template <class Call, class Visit>
void for_each_tensor(Call& call, const Visit& visit) {
    using enum Axis;
    visit(Argument{"query", nullptr, Role::tensor, {{query_batch}, {heads}, {query_tokens}, {head_dim}}}, call.query);
    visit(Argument{"key", nullptr, Role::tensor, {{key_batch}, {kv_heads}, {key_tokens}, {head_dim}}}, call.key);
    visit(Argument{"value", nullptr, Role::tensor, {{key_batch}, {kv_heads}, {key_tokens}, {value_dim}}}, call.value);
    visit(Argument{"out", nullptr, Role::result, {{query_batch}, {heads}, {query_tokens}, {value_dim}}}, call.out);
    visit(Argument{"log_sum_exp", "log-sum-exp", Role::result, {{query_batch}, {heads}, {query_tokens}}, false}, call.log_sum_exp);
}

/// Calls visit(argument, view) for all other arguments: views, spans and prefix sums.
template <class Arguments, class Visit>
void for_each_rule(Arguments& a, const Visit& visit) {
    using enum Axis;
    constexpr bool kRepeats = true;
    const auto lengths = [&](const char* name, const char* rule, auto& x) {
        visit(Argument{name, rule, Role::lengths, {{sequences}}}, x);
    };
    const auto of_heads = [&](const char* name, const char* rule, auto& x) {
        visit(Argument{name, rule, Role::input, {{heads}}}, x);
    };
    const auto pairs = [&](const char* name, const char* rule, Axis of_queries, Axis of_keys, auto& x) {
        visit(Argument{name, rule, Role::input, {{sequences, kRepeats}, {heads, kRepeats}, {of_queries, kRepeats}, {of_keys}}}, x);
    };
    const auto tokens = [&](const char* name, const char* rule, Axis batch, Axis of_tokens, auto& x) {
        visit(Argument{name, rule, Role::input, {{batch, kRepeats}, {of_tokens}}}, x);
    };
    lengths("prefix_lengths", "prefix", a.prefix_lengths);
    lengths("query_lengths", "query lengths", a.query_lengths);
    lengths("key_lengths", "key lengths", a.key_lengths);
    visit(Argument{"cumulative_query_lengths", "ragged", Role::lengths, {{any}}}, a.cumulative_query_lengths);
    visit(Argument{"cumulative_key_lengths", nullptr, Role::lengths, {{any}}}, a.cumulative_key_lengths);
    visit(Argument{"page_table", "paged", Role::lengths, {{sequences}, {any}}}, a.page_table);
    lengths("first_query_positions", "query positions", a.first_query_positions);
    lengths("first_key_positions", "key positions", a.first_key_positions);
    tokens("query_positions", nullptr, query_batch, each_query, a.query_positions);
    tokens("key_positions", nullptr, is_paged(a) ? sequences : key_batch, each_key, a.key_positions);
    of_heads("scales", "scale per head", a.scales);
    pairs("bias", "bias", queries, keys, a.bias);
    of_heads("alibi_slopes", "ALiBi", a.alibi_slopes);
    pairs("mask", "mask", queries, keys, a.mask);
    pairs("mask_bits", "mask of bits", queries, key_bytes, a.mask_bits);
    pairs("block_mask.visible", "block mask", query_blocks, key_blocks, a.block_mask.visible);
    tokens("tree_parents", "tree", sequences, node, a.tree_parents);
    of_heads("sinks", "sinks", a.sinks);
}

/// Whether the caller has given it.
inline bool is_given(const PrefixSums& sums) {
    return !sums.empty();
}
template <class T>
bool is_given(std::span<T> array) {
    return !array.empty();
}
template <class T, std::size_t Rank>
bool is_given(const TensorView<T, Rank>& view) {
    return view.data != nullptr;
}

/// Arrays as views, too.
inline AnyTensor as_any(const PrefixSums& sums) {
    return std::span(reinterpret_cast<const std::uint8_t*>(sums.bytes().data()), sums.bytes().size());
}
template <class T>
AnyTensor as_any(const T& x) {
    return x;
}

}  // namespace headwise
