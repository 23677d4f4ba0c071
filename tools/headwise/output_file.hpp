#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace headwise::tools {

/// A file that appears complete or not at all: written under a temporary name beside the target, which commit() renames over it.
/// Without commit() (an exception, say) the temporary is removed and the target is as it was.
class OutputFile {
  public:
    /// Creates the temporary. Throws UsageError when the directory is missing or not writable, or the target is not a regular file.
    explicit OutputFile(const std::string& path);
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;
    ~OutputFile();

    /// Throws std::runtime_error (disk full, say).
    void write(std::span<const std::byte> bytes);
    void write(std::string_view text);

    void commit();

  private:
    std::string path_;
    std::string temporary_;
    int descriptor_ = -1;
};

/// The whole text, by an OutputFile.
void write_file(const std::string& path, std::string_view text);

}  // namespace headwise::tools
