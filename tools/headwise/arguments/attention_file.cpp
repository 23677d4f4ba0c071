#include "arguments/attention_file.hpp"

#include <fmt/format.h>

#include <cmath>

#include "text/usage_error.hpp"

namespace headwise::tools {

void AttentionFileArguments::add_to(CLI::App& command) {
    command.add_option("--causal", causal, "which keys a query sees: none (all of them), top-left, bottom-right; default none")
        ->type_name("MASK");
    command.add_option("--scale", scale, "of the logits; default 1/sqrt(head dim)")->type_name("X");
    command.add_option("--layout", layout, "order of the tensors' dimensions: bhsd or bshd; default bhsd")->type_name("ORDER");
}

AttentionFileOptions AttentionFileArguments::options() const {
    if (scale && !std::isfinite(*scale)) throw UsageError(fmt::format("--scale is {}: expected a finite number", *scale));
    try {
        return {.causal = causal_from_name(causal), .scale = scale, .layout = layout_from_name(layout)};
    } catch (const UsageError& error) {
        throw UsageError(fmt::format("--{}", error.what()));
    }
}

}  // namespace headwise::tools
