#pragma once

#include <string_view>

namespace headwise::tools {

/// page.html with its style and its scripts, built in by page.cmake; `<!-- profile -->` stands where the JSON goes.
extern const std::string_view kProfilePage;

}  // namespace headwise::tools
