#pragma once

#include <nlohmann/json.hpp>

#include "cases/case.hpp"

namespace headwise::tools {

/// The shape of an attention case, in the letters of its description.
inline nlohmann::ordered_json shape_json(const AttentionShape& s, Causal causal) {
    return {{"b", s.batch},        {"hq", s.num_heads}, {"hkv", s.num_kv_heads}, {"sq", s.query_length},
            {"skv", s.key_length}, {"d", s.head_dim},   {"dv", s.value_dim},     {"causal", causal_name(causal)}};
}

}  // namespace headwise::tools
