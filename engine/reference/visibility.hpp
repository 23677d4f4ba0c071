#pragma once

#include <cstdint>
#include <vector>

#include "engine/reference/sequences.hpp"
#include "headwise/attention.hpp"
#include "headwise/attention_arguments.hpp"

namespace headwise::reference {

/// Which keys a query sees: those that every rule allows. (A score function may still hide a pair once it has its score.) The
/// arguments must outlive it.
class Visibility {
  public:
    Visibility(const Sequences& sequences, const AttentionOptions& options, const AttentionArguments& rules);

    /// keys = what query i of head h of sequence b sees, in ascending order.
    void list_keys(std::int64_t b, std::int64_t h, std::int64_t i, std::vector<std::int64_t>& keys) const;

  private:
    struct KeyRange {
        std::int64_t begin, end;
    };
    KeyRange position_rules_allow(std::int64_t b, std::int64_t i) const;
    bool masks_allow(std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) const;
    bool tree_allows(std::int64_t b, std::int64_t i, std::int64_t j) const;

    const Sequences& sequences_;
    const AttentionOptions& options_;
    const AttentionArguments& rules_;
    bool has_masks_;  ///< rules that are asked for each pair; without them the range is all there is to know
};

}  // namespace headwise::reference
