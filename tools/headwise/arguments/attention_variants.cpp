#include "arguments/attention_variants.hpp"

#include <fmt/format.h>

#include <charconv>

#include "cases/case.hpp"
#include "text/key_values.hpp"

namespace headwise::tools {
namespace {

constexpr Names<Alignment, 2> kAlignments{{{"top-left", Alignment::top_left}, {"bottom-right", Alignment::bottom_right}}};

Alignment parse_alignment(const std::string& text, Causal causal) {
    const Alignment alignment = from_name(kAlignments, "--alignment", text);
    if (causal != Causal::none && text != causal_name(causal)) {
        throw UsageError(fmt::format("--alignment is {}, --causal is {}: they must agree", text, causal_name(causal)));
    }
    return alignment;
}

Window parse_window(std::string_view text) {
    const auto bound = [text](std::string_view part) {
        std::int64_t value = 0;
        const auto [end, error] = std::from_chars(part.begin(), part.end(), value);
        if (error != std::errc{} || end != part.end() || value < -1) {
            throw UsageError(fmt::format("--window is '{}': expected LEFT,RIGHT, whole numbers from 0, or -1 for no bound", text));
        }
        return value;
    };
    const std::size_t comma = text.find(',');
    return {.left = bound(text.substr(0, comma)), .right = bound(comma == text.npos ? "" : text.substr(comma + 1))};
}

}  // namespace

void AttentionVariantArguments::add_to(CLI::App& command) {
    command
        .add_option(
            "--alignment", alignment,
            "how query positions align with keys for --window, alibi_slopes and --rope: top-left (first query at first key) or "
            "bottom-right (last query at last key); default: as --causal, else bottom-right")
        ->type_name("CORNER");
    command.add_option("--window", window, "keys that a query sees to the left and to the right of its position; -1 for no bound")
        ->type_name("LEFT,RIGHT");
    command.add_option("--softcap", softcap, "logits become X * tanh(logit / X); default 0, none")->type_name("X");
    command
        .add_option(
            "--rope", rope_text,
            "rotate queries and keys by their positions (RoPE): any of dims=N, base=X, pairs=interleaved or half-split; default "
            "dims = head dim, base=10000, pairs=half-split")
        ->type_name("KEY=VALUE,...")
        ->expected(0, 1);
    command
        .add_option(
            "--shared-keys", shared_keys,
            "the first N keys of all sequences are the same pages (page_table), and are read once for all of them; default 0")
        ->type_name("N");
}

AttentionOptions AttentionVariantArguments::added_to(AttentionOptions options) const {
    if (alignment) options.alignment = parse_alignment(*alignment, options.causal);
    if (window) options.window = parse_window(*window);
    if (!(softcap >= 0 && softcap < 2e38f)) throw UsageError(fmt::format("--softcap is {}: expected 0 to 2e38", softcap));
    options.softcap = softcap;
    options.shared_prefix = shared_keys != 0;
    return options;
}

std::optional<RopeArgument> AttentionVariantArguments::rope() const {
    return rope_text ? std::optional(parse_rope(*rope_text)) : std::nullopt;
}

}  // namespace headwise::tools
