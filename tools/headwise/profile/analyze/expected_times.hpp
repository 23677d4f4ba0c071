#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "profile/analyze/what_if.hpp"

namespace headwise::tools {

/// How long tasks take that nothing slows down: by their FLOPs, at the rate of the same work on one thread. A block near a causal
/// mask's diagonal has another rate than one below it, and so have other kernels and short sequences.
class ExpectedTimes {
  public:
    explicit ExpectedTimes(const OneThreadCosts& costs);

    /// Seconds; none for work that was not seen on one thread.
    std::optional<double> of(const TaskRecord& task) const;

  private:
    struct Work {
        double seconds = 0, flops = 0;
    };
    using Block = std::tuple<std::int32_t, std::int64_t, std::int64_t, std::int64_t>;  // loop, batch, head, query block
    using Head = std::tuple<std::int32_t, std::int64_t, std::int64_t>;

    std::vector<bool> of_heads_;  // by loop
    std::map<Block, Work> blocks_;
    std::map<Head, Work> heads_;
};

}  // namespace headwise::tools
