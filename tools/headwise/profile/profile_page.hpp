#pragma once

#include <string_view>

namespace headwise::tools {

/// profile_page.html with its style and its scripts, built in by profile_page.cmake; `<!-- profile -->` stands where the JSON goes.
extern const std::string_view kProfilePage;

}  // namespace headwise::tools
