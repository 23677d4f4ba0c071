#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headwise::tools {

/// A tensor that asks for more than plain attention.
struct RuleTensor {
    std::string_view name;      ///< in a file
    std::string_view argument;  ///< of the library
    std::string_view help;
    bool for_rope = false;  ///< of use with RoPE alone
};

/// All of them; with kPlainTensors, every name that a file's tensor may have to be of use.
inline constexpr std::array<RuleTensor, 14> kRuleTensors{{
    {"mask", "mask", "BOOL or U8 [B or 1, Hq or 1, Sq or 1, Skv], 0 hides the key"},
    {"bias", "bias", "F32 [B or 1, Hq or 1, Sq or 1, Skv], added to the logits"},
    {"alibi_slopes", "alibi_slopes", "F32 [Hq], adds slope * (key position - query position)"},
    {"scales", "scales", "F32 [Hq], instead of --scale"},
    {"sinks", "sinks", "F32 [Hq], one more logit in each row's denominator"},
    {"q_lengths", "query_lengths", "I32 [B], queries of each sequence"},
    {"kv_lengths", "key_lengths", "I32 [B], keys of each sequence"},
    {"cu_seqlens_q", "cumulative_query_lengths", "I32 or I64 [B+1], sequences are packed: q is [1,Hq,total,D], so is out"},
    {"cu_seqlens_k", "cumulative_key_lengths", "I32 or I64 [B+1], likewise k is [1,Hkv,total,D], v [1,Hkv,total,Dv]"},
    {"page_table", "page_table", "I32 [B,N], with kv_lengths: k is [pages,Hkv,page size,D], v [pages,Hkv,page size,Dv]"},
    {"prefix_lengths", "prefix_lengths", "I32 [B], keys that all queries see in spite of --causal"},
    {"tree_parents", "tree_parents", "I32 [B or 1, Sq], the query that a query descends from, -1 for none"},
    {"q_positions", "query_positions", "I32 [B or 1, Sq], positions for --rope", true},
    {"k_positions", "key_positions", "I32 [B or 1, Skv], positions for --rope", true},
}};

/// Another name, most of them of other libraries, for what one of our tensors says.
struct ForeignTensor {
    std::string_view name, ours;
};

inline constexpr std::array<ForeignTensor, 8> kForeignTensors{{{"block_table", "page_table"},
                                                               {"seq_lens", "kv_lengths"},
                                                               {"context_lens", "kv_lengths"},
                                                               {"k_lengths", "kv_lengths"},
                                                               {"position_ids", "q_positions"},
                                                               {"s_aux", "sinks"},
                                                               {"alibi", "alibi_slopes"},
                                                               {"slopes", "alibi_slopes"}}};

/// "expected" and "expected_rows" are the model's own output, which compare holds its result against.
inline constexpr std::array<std::string_view, 5> kPlainTensors{"q", "k", "v", "expected", "expected_rows"};

bool is_known_tensor(std::string_view name);
/// Whether it is "expected" or "expected_rows".
bool is_expected_tensor(std::string_view name);

/// The known name that this unknown one was probably meant to be: it is spelt almost like it, like the library's argument or like
/// another library's name for it, or one of the two has all words of the other, in singular or plural ("attn_mask", "attnMask",
/// "attnmask", "slopes", "attn_biases"), or it has all words of another library's name. "len" is a length and "pos" a position, at
/// the end of longer words, too. Empty where there is none.
std::string_view meant_tensor(std::string_view name);

/// A line for stderr that lists these unused tensors; empty if there are none.
std::string unused_tensors_note(const std::string& path, std::span<const std::string> names);

}  // namespace headwise::tools
