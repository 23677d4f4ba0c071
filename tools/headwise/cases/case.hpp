#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "headwise/attention.hpp"

namespace headwise::tools {

/// How the four dimensions of query, key, value and out lie in memory.
enum class Layout {
    bhsd,  ///< [batch, heads, length, dim]
    bshd,  ///< [batch, length, heads, dim]
};

Layout layout_from_name(std::string_view name);
std::string_view layout_name(Layout layout);
Causal causal_from_name(std::string_view name);
std::string_view causal_name(Causal causal);

struct AttentionCase {
    AttentionShape shape;  ///< value_dim filled in
    Causal causal = Causal::none;
    std::optional<float> scale{};
    Layout layout = Layout::bhsd;
};

struct MatmulCase {
    std::int64_t batch = 1, m = 0, n = 0, k = 0;
};

/// Self-attention as a whole layer, with biases: packed Q, K, V projection, attention, output projection.
struct LayerCase {
    std::int64_t batch = 1, length = 0, model_dim = 0, num_heads = 0, num_kv_heads = 0;
    Causal causal = Causal::none;

    std::int64_t head_dim() const { return model_dim / num_heads; }
};

/// How the tensors of a file are to be read: what its header does not say.
struct AttentionFileOptions {
    Causal causal = Causal::none;
    std::optional<float> scale{};
    Layout layout = Layout::bhsd;
};

using CaseSizes = std::variant<AttentionCase, MatmulCase, LayerCase>;

/// Reads "attention:b=1,hq=32,hkv=8,sq=2048,skv=2048,d=128,causal=bottom-right", "matmul:m=512,n=768,k=768" or
/// "layer:b=1,s=512,model=768,heads=12". Throws UsageError naming the key, its value and what was expected.
CaseSizes parse_case(std::string_view text);

/// What parse_case() would read as the same case, with defaults left out.
std::string case_text(const CaseSizes& sizes);

/// "attention", "matmul" or "layer".
std::string_view case_op(const CaseSizes& sizes);

}  // namespace headwise::tools
