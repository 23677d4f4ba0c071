#pragma once

#include <string>
#include <string_view>

namespace headwise::tools {

/// The text as one field of CSV, printable, in quotes where it must be.
std::string csv_field(std::string_view text);

}  // namespace headwise::tools
