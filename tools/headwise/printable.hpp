#pragma once

#include <string>
#include <string_view>

namespace headwise::tools {

/// The text with control characters (of ASCII, and U+0080 to U+009F in UTF-8) as \x1b: names come from files, and must neither
/// garble a terminal nor forge a line.
std::string printable(std::string_view text);

/// Likewise, cut where it is long: for a name within a message.
std::string printable_name(std::string_view name);

}  // namespace headwise::tools
