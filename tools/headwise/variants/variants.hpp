#pragma once

#include <cstdint>

#include "variants/workload.hpp"

/// Each turns the variant of a workload, which is the plain case yet, into what its name says.
namespace headwise::tools {

// ---- Masks, each [1, 1, query_length, key_length]: one for all heads, as transformers have them

void add_mask(VariantWorkload& w, double visible);       ///< of bytes; so much of it is visible, at random
void add_mask_bits(VariantWorkload& w, double visible);  ///< of bits
void add_block_mask(VariantWorkload& w, double visible, std::int64_t block);
void add_bias(VariantWorkload& w);
void causal_by_mask(VariantWorkload& w);  ///< the plain case's causal rule, written out as a mask of bytes

// ---- Other rules

void add_key_lengths(VariantWorkload& w);  ///< of all keys
void add_wide_window(VariantWorkload& w);  ///< wider than everything
void add_alibi(VariantWorkload& w);
void add_softcap(VariantWorkload& w);
void add_sinks(VariantWorkload& w);
void add_scales(VariantWorkload& w);
void add_log_sum_exp(VariantWorkload& w);
void add_window(VariantWorkload& w, std::int64_t left);
void tree_instead_of_causal(VariantWorkload& w);  ///< each query's parent is one of the four before it

// ---- Where the tokens lie; for a plain case without other rules

void put_into_pages(VariantWorkload& w, std::int64_t page_size);  ///< in random order
/// So many of the keys, a multiple of the page size, are the same pages for all sequences, and read once for all of them. The plain
/// case has the same pages and reads them sequence by sequence.
void share_prefix(VariantWorkload& w, std::int64_t page_size, std::int64_t shared_keys);
void put_heads_inside(VariantWorkload& w);      ///< [batch, length, heads, dim]
void pack_query_key_value(VariantWorkload& w);  ///< [batch, length, 3, heads, dim]; as many keys as queries

/// As many sequences and tokens as the plain case has, of lengths from 1 to twice its length, packed as [tokens, heads, dim].
/// The plain case has as many keys as queries.
void make_ragged(VariantWorkload& w);

}  // namespace headwise::tools
