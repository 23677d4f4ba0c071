#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/attention/variant_call.hpp"

namespace headwise::test {

/// function(call) for each variant in each packing, and with shared keys where these may be. A row and twelve rows over so many
/// keys that either kernel merges chunks of them, on several threads as tasks of their own; beside them, where sequences may
/// differ, short ones and rows that see no key.
template <class Function>
void for_variant_calls(const Function& function) {
    constexpr std::int64_t kKeys = 4900, kSharedKeys = 2560;
    constexpr HeadSizes kHeads{.num_heads = 2, .num_kv_heads = 1};
    const SequenceSizes one{1, kKeys, 1}, more{12, kKeys, 2};
    for (const Variants& variants : all_variants()) {
        const auto call = [&](const std::vector<SequenceSizes>& sequences, const Placing& placing) {
            VariantCall made(variants, sequences, placing, kHeads);
            INFO(made.text());
            function(made);
        };
        call({one}, {});
        call({more}, {});
        std::vector<SequenceSizes> mixed = {one, {3, 3, 3}, more, {20, 70, 4}};
        if (!variants.tree) mixed.insert(mixed.end(), {{6, 2, 5}, {4, 0, 6}});  // a tree asks for as many keys as queries
        for (const Packing packing : {Packing::padded, Packing::ragged, Packing::paged, Packing::ragged_paged})
            call(mixed, {.packing = packing});
        for (const Packing packing : {Packing::padded, Packing::paged, Packing::ragged_paged})
            call({one, more}, {.packing = packing, .shared_keys = kSharedKeys});
    }
}

/// Makes all values so small that their weighted sums are denormal.
inline void make_values_tiny(const VariantCall& call) {
    for (std::size_t b = 0; b < call.sequences.size(); ++b)
        for (std::int64_t h = 0; h < call.shape.num_kv_heads; ++h)
            for (std::int64_t j = 0; j < call.sequences[b].keys; ++j)
                for (std::int64_t d = 0; d < call.shape.value_dim; ++d) {
                    float& x = call.value(b, h, j)[d];
                    if (std::abs(x) > 1e-30f) x *= 1e-38f;  // but once where sequences share it
                }
}

}  // namespace headwise::test
