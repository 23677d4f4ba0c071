#include "variants/list.hpp"

#include <fmt/format.h>

namespace headwise::tools {
namespace {

std::string heads_text(const AttentionShape& s) {
    return s.num_heads == s.num_kv_heads ? fmt::format("{} heads", s.num_heads)
                                         : fmt::format("{}/{} heads", s.num_heads, s.num_kv_heads);
}

}  // namespace

VariantWorkload VariantEntry::make() const {
    VariantWorkload w = plain_workload(shape, causal);
    if (vary) vary(w);
    return w;
}

std::string plain_case_text(const AttentionShape& s, Causal causal) {
    std::string text = s.query_length == 1 ? "decode" : "prefill";
    if (s.batch > 1 || s.query_length == 1) text += fmt::format(", batch {}", s.batch);
    text += ", " + heads_text(s);
    if (s.query_length != 1 && s.query_length != s.key_length) text += fmt::format(", {} queries", s.query_length);
    text += fmt::format(", {} keys, D{}", s.key_length, s.head_dim);
    return causal == Causal::none ? text : text + ", causal";
}

void VariantList::add(const AttentionShape& shape, Causal causal, std::initializer_list<Variant> variants) {
    add(plain_case_text(shape, causal), shape, causal, variants);
}

void VariantList::add(const std::string& base, const AttentionShape& shape, Causal causal, const std::vector<Variant>& variants) {
    for (const Variant& v : variants)
        entries_.push_back({.base = base,
                            .shape = shape,
                            .causal = causal,
                            .name = v.name,
                            .vary = v.vary,
                            .figure = v.figure,
                            .goal = v.goal,
                            .goal_threads = v.goal_threads,
                            .more = v.more});
}

}  // namespace headwise::tools
