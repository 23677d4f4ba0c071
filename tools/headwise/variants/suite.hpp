#pragma once

#include <vector>

#include "variants/list.hpp"

namespace headwise::tools {

/// The plain cases. Tests have smaller ones.
struct VariantShapes {
    AttentionShape prefill{1, 12, 12, 1024, 1024, 64, 64};
    AttentionShape grouped_prefill{1, 8, 2, 2048, 2048, 128, 128};
    AttentionShape batched_prefill{4, 12, 12, 512, 512, 64, 64};
    AttentionShape long_prefill{1, 2, 2, 16384, 16384, 64, 64};
    AttentionShape even_batch{16, 2, 2, 1024, 1024, 64, 64};
    AttentionShape speculation{1, 32, 8, 32, 4096, 128, 128};  ///< few queries behind many keys
    AttentionShape decode{8, 32, 8, 1, 4096, 128, 128};
    AttentionShape prefix_decode{16, 32, 8, 1, 4352, 128, 128};  ///< all but a 17th of the keys are the same
    AttentionShape shared_key_decode{1, 8, 1, 1, 32768, 128, 128};
};

/// All variants, those with the same plain case one behind the other. The window is a 16th of the keys.
std::vector<VariantEntry> variant_suite(const VariantShapes& shapes = {});

}  // namespace headwise::tools
