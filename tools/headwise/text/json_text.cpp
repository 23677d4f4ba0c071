#include "text/json_text.hpp"

#include <cmath>

namespace headwise::tools {
namespace {

using Json = nlohmann::ordered_json;

void name_what_is_not_finite(Json& json) {
    if (json.is_structured()) {
        for (Json& element : json) name_what_is_not_finite(element);
    } else if (json.is_number_float()) {
        const double value = json.get<double>();
        if (!std::isfinite(value)) json = std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
    }
}

}  // namespace

std::string json_text(Json json, int indent) {
    name_what_is_not_finite(json);
    return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace headwise::tools
