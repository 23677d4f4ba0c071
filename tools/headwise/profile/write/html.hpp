#pragma once

#include <string>

namespace headwise::tools {

/// A page that shows the profile: one file, which loads nothing. Throws std::runtime_error where `json` is no profile.
std::string profile_html(const std::string& json);

}  // namespace headwise::tools
