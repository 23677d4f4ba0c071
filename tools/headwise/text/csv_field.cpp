#include "text/csv_field.hpp"

#include "text/printable.hpp"

namespace headwise::tools {

std::string csv_field(std::string_view given) {
    std::string text = printable(given);
    if (text.find_first_of(",\"") == std::string::npos) return text;
    for (std::size_t i = 0; (i = text.find('"', i)) != std::string::npos; i += 2) text.insert(i, 1, '"');
    return '"' + text + '"';
}

}  // namespace headwise::tools
