#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "files/attention_file.hpp"

namespace headwise::tools {

/// --weights, --top-k and --key-means: what the queries look at; --heads and --queries: which of them.
struct AttentionWeightsArguments {
    bool weights = false, key_means = false;
    std::optional<std::int64_t> top_k;
    std::optional<std::string> heads_text, queries_text;

    void add_to(CLI::App& command);

    /// Whether anything is asked for.
    bool given() const { return weights || top_k || key_means; }

    /// Throws UsageError naming the option: what can be told without a file.
    void check(bool reference) const;

    /// The numbers chosen, ascending, of `count` that `file` has; none where the option is not given. Throws UsageError.
    std::vector<std::int32_t> heads(const AttentionFile& file, std::int64_t count) const;
    std::vector<std::int32_t> queries(const AttentionFile& file, std::int64_t count) const;
};

}  // namespace headwise::tools
