#pragma once

#include <string>
#include <vector>

#include "variants/list.hpp"

namespace headwise::tools {

/// `headwise compare --suite variants` and `--suite values`: measures, prints the table, and writes the files that have a name.
/// Throws std::runtime_error after all of that if a result was wrong.
void compare_variants(const std::vector<VariantEntry>& suite, const std::vector<int>& thread_counts, const std::string& json,
                      const std::string& csv);

}  // namespace headwise::tools
