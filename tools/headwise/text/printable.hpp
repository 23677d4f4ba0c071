#pragma once

#include <string>
#include <string_view>

namespace headwise::tools {

/// The text with control characters (of ASCII, and U+0080 to U+009F) and bytes that are no UTF-8 as \x1b, and what ends a line or
/// turns the direction of writing as \u202e: names come from files and paths from users, and must neither garble a terminal nor
/// forge a line. All that is printed for people goes through this, and so do the names in CSV, which people print; JSON has escapes
/// of its own and keeps names as they are.
std::string printable(std::string_view text);

/// Likewise, cut where it is long: for a name within a message.
std::string printable_name(std::string_view name);

}  // namespace headwise::tools
