#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "variant_workload.hpp"

namespace headwise::tools {

/// What a variant is judged by. The yardstick that takes turns with it is the plain case, but for the last two.
enum class Figure {
    extra_time,      ///< its time over the plain case's, less 1
    flop_rate,       ///< its FLOPs a second over the plain case's
    speedup,         ///< the plain case's time over its own
    bandwidth,       ///< its keys and values a second over the rate at which they can be read
    thread_speedup,  ///< its time on one thread over that on all
};

/// Whether the goal is an upper bound; all others are lower ones.
constexpr bool less_is_better(Figure figure) {
    return figure == Figure::extra_time;
}

struct VariantEntry {
    std::string base;  ///< the plain case, for people
    AttentionShape shape;
    Causal causal = Causal::none;
    std::string name;
    std::function<void(VariantWorkload&)> vary;  ///< from the plain case; none: the figure is of the plain case itself
    Figure figure = Figure::extra_time;
    std::optional<double> goal{};  ///< none: for information
    int goal_threads = 1;          ///< the goal is one for as many threads or more

    VariantWorkload make() const;
};

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
