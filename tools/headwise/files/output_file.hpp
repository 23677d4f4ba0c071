#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace headwise::tools {

/// A file that appears complete or not at all: written under a temporary name beside the target, which commit() renames over it.
/// Without commit() (an exception, say) the temporary is removed and the target is as it was. Where the path is a symlink, the file
/// that it leads to is the target, and the link stays. A target that was there keeps its mode.
class OutputFile {
  public:
    /// Creates the temporary. Throws UsageError when the directory is missing or not writable, or the target is not a regular file.
    explicit OutputFile(const std::string& path);
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;
    ~OutputFile();

    /// Throws UsageError (disk full, say).
    void write(std::span<const std::byte> bytes);
    void write(std::string_view text);

    void commit();

  private:
    void create_temporary();

    std::string path_;    // as the user gave it
    std::string target_;  // behind all symlinks
    std::string temporary_;
    int descriptor_ = -1;
};

/// The whole text, by an OutputFile.
void write_file(const std::string& path, std::string_view text);

/// A path, with the option that gave it; empty where none did.
struct NamedPath {
    std::string_view option;
    std::string path;
};

/// Throws UsageError where two of the outputs, or an output and an input, are one file, by whatever names (symlinks, hard links).
void check_outputs_are_apart(std::span<const NamedPath> outputs, std::span<const NamedPath> inputs);

}  // namespace headwise::tools
