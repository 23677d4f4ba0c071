#pragma once

#include <vector>

#include "variants/list.hpp"

namespace headwise::tools {

/// The plain cases. Tests have smaller ones.
struct ValueShapes {
    AttentionShape prefill{1, 8, 8, 1024, 1024, 64, 64};
    AttentionShape decode{1, 32, 8, 1, 512, 128, 128};  ///< keys and values of 4 MiB: memory hides nothing
    AttentionShape weights{1, 4, 4, 512, 512, 64, 64};
    AttentionShape decode_weights{1, 32, 8, 1, 512, 128, 128};
    AttentionShape merge{1, 8, 8, 512, 512, 64, 64};  ///< its keys do not matter
};

/// The same call with values over which some code, or some processor, takes longer: logits far apart, biases around the edge of
/// what a weight can be, denormal numbers. The time of a call should be that of its shape, whatever the values.
std::vector<VariantEntry> value_suite(const ValueShapes& shapes = {});

}  // namespace headwise::tools
