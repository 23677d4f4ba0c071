#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace headwise::tools {

/// The text of every JSON that the program writes, with a line end. JSON has no number that is not finite, and nlohmann-json would
/// write null for one, which here means "not known" or "does not apply": they become the strings "inf", "-inf" and "nan", which
/// most languages' text-to-float takes. Bytes that are no UTF-8 become U+FFFD. indent -1: one line.
std::string json_text(nlohmann::ordered_json json, int indent);

}  // namespace headwise::tools
