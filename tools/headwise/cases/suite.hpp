#pragma once

#include <string>
#include <vector>

#include "cases/case.hpp"

namespace headwise::tools {

/// What is compared: named, and made when its turn comes.
struct SuiteEntry {
    std::string name;
    CaseSizes sizes;   ///< of random tensors
    std::string file;  ///< or, if not empty, the file to read them from
    AttentionFileOptions file_options;
};

/// The targets and, first, the real inputs, whose files are found by data_file().
std::vector<SuiteEntry> default_suite(const std::string& data_directory);
std::vector<SuiteEntry> real_suite(const std::string& data_directory);

/// Where a file of data/ lies: in `directory` if not empty, else beside the installed program, the build tree or the sources.
/// Throws UsageError.
std::string data_file(const std::string& directory, const std::string& name);

}  // namespace headwise::tools
