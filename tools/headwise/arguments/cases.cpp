#include "arguments/cases.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "text/usage_error.hpp"
#include "workloads/case_memory.hpp"

namespace headwise::tools {

void CaseArguments::add_to(CLI::App& command, const std::string& purpose) {
    command
        .add_option("--case", cases,
                    "a shape " + purpose +
                        ", repeatable: attention:b=1,hq=32,hkv=8,sq=2048,skv=2048,d=128,causal=bottom-right "
                        "(also dv, scale, layout), matmul:m=512,n=768,k=768 (also batch), layer:b=1,s=512,model=768,heads=12 (also "
                        "kv_heads, causal)")
        ->type_name("CASE")
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->expected(1);
    command.add_option("--input", inputs, "the tensors q, k, v of a safetensors file " + purpose + ", repeatable")
        ->type_name("FILE")
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->expected(1);
    file.add_to(command);
}

std::vector<SuiteEntry> CaseArguments::entries(const CheckFile& check_file, int threads) const {
    if (inputs.empty() && file.given())
        throw UsageError("--causal, --scale and --layout belong to --input; a --case has keys of these names");
    std::vector<SuiteEntry> result;
    const AttentionFileOptions options = file.options();
    for (const std::string& input : inputs) {
        const AttentionFile opened(input, options.layout);
        check_file(opened, options);
        result.push_back(
            {.name = std::filesystem::path(input).filename().string(), .sizes = {}, .file = input, .file_options = options});
    }
    for (const std::string& text : cases) {
        const CaseSizes sizes = parse_case(text);
        check_case_memory(sizes, threads);
        result.push_back({.name = case_text(sizes), .sizes = sizes, .file = {}, .file_options = {}});
    }
    return result;
}

void CaseArguments::check_apart(std::span<const NamedPath> outputs, std::span<const SuiteEntry> entries) const {
    std::vector<NamedPath> read;
    for (const SuiteEntry& entry : entries)
        if (!entry.file.empty()) read.push_back({given() ? "--input" : "the suite's", entry.file});
    check_outputs_are_apart(outputs, read);
}

}  // namespace headwise::tools
