#pragma once

#include <string>

namespace headwise::tools {

/// For each run: a row for each worker, a character for each stretch of time that says which head had most of it ('=' a matrix
/// product,
/// '.' idle for more than half), a time axis and a legend. Lines are at most `columns` wide; fewer than 40 count as 40. Names
/// are printable(). Throws std::runtime_error where `json` is no profile.
std::string profile_timeline(const std::string& json, int columns);

}  // namespace headwise::tools
