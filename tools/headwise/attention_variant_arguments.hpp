#pragma once

#include <CLI/CLI.hpp>

#include <optional>
#include <string>

#include "headwise/attention.hpp"
#include "rope_argument.hpp"

namespace headwise::tools {

/// --alignment, --window, --softcap and --rope: what becomes of attention beside --causal and --scale.
struct AttentionVariantArguments {
    std::optional<std::string> alignment, window, rope_text;
    float softcap = 0;

    void add_to(CLI::App& command);

    /// `options` with the first three added. Throws UsageError naming the option.
    AttentionOptions added_to(AttentionOptions options) const;

    /// Throws UsageError naming option and key.
    std::optional<RopeArgument> rope() const;
};

}  // namespace headwise::tools
