#include "cases/case.hpp"

#include <fmt/format.h>

#include <array>

#include "text/key_values.hpp"
#include "text/usage_error.hpp"

namespace headwise::tools {
namespace {

constexpr Names<Layout, 2> kLayouts{{{"bhsd", Layout::bhsd}, {"bshd", Layout::bshd}}};
constexpr Names<Causal, 3> kCausals{
    {{"none", Causal::none}, {"top-left", Causal::top_left}, {"bottom-right", Causal::bottom_right}}};

// No dimension beyond: with at most four of them below 2^31 and a check in floating point, nothing can overflow on the way.
constexpr std::int64_t kMaxDimension = std::int64_t{1} << 31;

/// The keys of a case.
class Keys : public KeyValues {
  public:
    explicit Keys(std::string_view text) : KeyValues(fmt::format("case '{}'", text)), op_(text.substr(0, text.find(':'))) {
        if (op_.size() == text.size()) throw bad("expected OP:KEY=VALUE,..., as in matmul:m=512,n=768,k=768");
        add(text.substr(op_.size() + 1));
    }

    std::string_view op() const { return op_; }

    std::int64_t size(std::string_view key, std::optional<std::int64_t> fallback = {}, std::int64_t least = 1) {
        return whole(key, least, kMaxDimension, fallback);
    }

    std::optional<float> number(std::string_view key) { return KeyValues::number<float>(key); }

    void finish() const { KeyValues::finish(op_); }

  private:
    std::string_view op_;
};

AttentionCase parse_attention(Keys& keys) {
    AttentionCase result;
    AttentionShape& shape = result.shape;
    shape.batch = keys.size("b", 1);
    shape.num_heads = keys.size("hq", 1);
    shape.num_kv_heads = keys.size("hkv", shape.num_heads);
    shape.query_length = keys.size("sq");
    shape.key_length = keys.size("skv", shape.query_length);
    shape.head_dim = keys.size("d");
    shape.value_dim = keys.size("dv", shape.head_dim);
    result.causal = keys.name("causal", kCausals, Causal::none);
    result.scale = keys.number("scale");
    result.layout = keys.name("layout", kLayouts, Layout::bhsd);
    keys.finish();
    if (shape.num_heads % shape.num_kv_heads != 0) {
        throw keys.bad(fmt::format("hq is {}, hkv is {}: hq must be a multiple of hkv", shape.num_heads, shape.num_kv_heads));
    }
    if (shape.head_dim > kMaxHeadDim || shape.value_dim > kMaxHeadDim) {
        throw keys.bad(fmt::format("d is {}, dv is {}: expected at most {}", shape.head_dim, shape.value_dim, kMaxHeadDim));
    }
    return result;
}

MatmulCase parse_matmul(Keys& keys) {
    MatmulCase result;
    result.batch = keys.size("batch", 1);
    result.m = keys.size("m");
    result.n = keys.size("n");
    result.k = keys.size("k");
    keys.finish();
    return result;
}

LayerCase parse_layer(Keys& keys) {
    LayerCase result;
    result.batch = keys.size("b", 1);
    result.length = keys.size("s");
    result.model_dim = keys.size("model");
    result.num_heads = keys.size("heads");
    result.num_kv_heads = keys.size("kv_heads", result.num_heads);
    result.causal = keys.name("causal", kCausals, Causal::none);
    keys.finish();
    if (result.model_dim % result.num_heads != 0 || result.head_dim() > kMaxHeadDim) {
        throw keys.bad(fmt::format("model is {}, heads is {}: model / heads must be whole and at most {}", result.model_dim,
                                   result.num_heads, kMaxHeadDim));
    }
    if (result.num_heads % result.num_kv_heads != 0) {
        throw keys.bad(fmt::format("heads is {}, kv_heads is {}: heads must be a multiple of kv_heads", result.num_heads,
                                   result.num_kv_heads));
    }
    return result;
}

std::string text_of(const AttentionCase& c) {
    const AttentionShape& s = c.shape;
    std::string text = s.batch == 1 ? "" : fmt::format("b={},", s.batch);
    if (s.num_heads != 1) text += fmt::format("hq={},", s.num_heads);
    if (s.num_kv_heads != s.num_heads) text += fmt::format("hkv={},", s.num_kv_heads);
    text += fmt::format("sq={},", s.query_length);
    if (s.key_length != s.query_length) text += fmt::format("skv={},", s.key_length);
    text += fmt::format("d={}", s.head_dim);
    if (s.value_dim != s.head_dim) text += fmt::format(",dv={}", s.value_dim);
    if (c.causal != Causal::none) text += fmt::format(",causal={}", causal_name(c.causal));
    if (c.scale) text += fmt::format(",scale={}", *c.scale);
    if (c.layout != Layout::bhsd) text += fmt::format(",layout={}", layout_name(c.layout));
    return text;
}

std::string text_of(const MatmulCase& c) {
    return (c.batch == 1 ? "" : fmt::format("batch={},", c.batch)) + fmt::format("m={},n={},k={}", c.m, c.n, c.k);
}

std::string text_of(const LayerCase& c) {
    std::string text = c.batch == 1 ? "" : fmt::format("b={},", c.batch);
    text += fmt::format("s={},model={},heads={}", c.length, c.model_dim, c.num_heads);
    if (c.num_kv_heads != c.num_heads) text += fmt::format(",kv_heads={}", c.num_kv_heads);
    if (c.causal != Causal::none) text += fmt::format(",causal={}", causal_name(c.causal));
    return text;
}

}  // namespace

Layout layout_from_name(std::string_view name) {
    return from_name(kLayouts, "layout", name);
}
std::string_view layout_name(Layout layout) {
    return to_name(kLayouts, layout);
}
Causal causal_from_name(std::string_view name) {
    return from_name(kCausals, "causal", name);
}
std::string_view causal_name(Causal causal) {
    return to_name(kCausals, causal);
}

CaseSizes parse_case(std::string_view text) {
    Keys keys(text);
    if (keys.op() == "attention") return parse_attention(keys);
    if (keys.op() == "matmul") return parse_matmul(keys);
    if (keys.op() == "layer") return parse_layer(keys);
    throw keys.bad(fmt::format("unknown operation '{}'; expected attention, matmul or layer", keys.op()));
}

std::string_view case_op(const CaseSizes& sizes) {
    static constexpr std::array<std::string_view, 3> kOps{"attention", "matmul", "layer"};
    return kOps[sizes.index()];
}

std::string case_text(const CaseSizes& sizes) {
    return fmt::format("{}:{}", case_op(sizes), std::visit([](const auto& c) { return text_of(c); }, sizes));
}

}  // namespace headwise::tools
