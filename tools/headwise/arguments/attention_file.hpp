#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "files/attention_tensors.hpp"

namespace headwise::tools {

/// --causal, --scale and --layout: how the tensors of a file are to be read.
struct AttentionFileArguments {
    std::string causal = "none", layout = "bhsd";
    std::optional<float> scale;

    void add_to(CLI::App& command);
    AttentionFileOptions options() const;  ///< throws UsageError naming the option
    bool given() const { return causal != "none" || layout != "bhsd" || scale.has_value(); }
};

}  // namespace headwise::tools
