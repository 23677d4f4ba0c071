#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>
#include <optional>
#include <string>

#include "arguments/rope.hpp"
#include "headwise/attention.hpp"

namespace headwise::tools {

/// --alignment, --window, --softcap, --rope and --shared-keys: what becomes of attention beside --causal and --scale.
struct AttentionVariantArguments {
    std::optional<std::string> alignment, window, rope_text;
    float softcap = 0;
    std::int64_t shared_keys = 0;

    void add_to(CLI::App& command);

    /// `options` with all but RoPE added; shared keys are told by the call. Throws UsageError naming the option.
    AttentionOptions added_to(AttentionOptions options) const;

    /// Throws UsageError naming option and key.
    std::optional<RopeArgument> rope() const;
};

}  // namespace headwise::tools
