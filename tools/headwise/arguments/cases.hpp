#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "arguments/attention_file.hpp"
#include "cases/suite.hpp"
#include "files/output_file.hpp"

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

}  // namespace headwise::tools
