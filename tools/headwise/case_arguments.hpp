#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "attention_file_arguments.hpp"
#include "comparison.hpp"
#include "output_file.hpp"

namespace headwise::tools {

/// --case and --input, and how the tensors of an input are to be read: what a command is to run.
struct CaseArguments {
    std::vector<std::string> cases, inputs;
    AttentionFileArguments file;

    bool given() const { return !cases.empty() || !inputs.empty(); }

    /// `purpose` ends the sentences "a shape ..." and "the tensors q, k, v of a safetensors file ...".
    void add_to(CLI::App& command, const std::string& purpose);

    using CheckFile = std::function<void(const AttentionFile& file, const AttentionFileOptions& options)>;

    /// All that was asked for, each file checked by `check_file`, so that nothing of it fails once the first entry is measured, its
    /// memory on so many threads too: files first, then cases. Throws UsageError.
    std::vector<SuiteEntry> entries(const CheckFile& check_file, int threads) const;

    /// Throws UsageError if two outputs are the same file, or if an output is a file that an entry, given here or part of a suite,
    /// is read from.
    void check_apart(std::span<const NamedPath> outputs, std::span<const SuiteEntry> entries) const;
};

/// Throws UsageError where load() would, where there is nothing to time, and where it takes more memory than there is.
void check_plain_attention_file(const AttentionFile& file, const AttentionFileOptions& options, int threads);

/// Makes the tensors of an entry, or reads them: of plain attention.
std::pair<CaseSizes, std::unique_ptr<Workload>> load(const SuiteEntry& entry);

}  // namespace headwise::tools
