#include "profile/write/html.hpp"

#include <stdexcept>
#include <string_view>

#include "profile/write/document.hpp"
#include "profile/write/page.hpp"
#include "text/json_text.hpp"

namespace headwise::tools {
namespace {

/// JSON that can stand in a <script> element: `<` occurs in strings alone, and without it neither `</script>` nor `<!--` can be.
std::string script_safe(std::string_view json) {
    std::string text;
    text.reserve(json.size());
    for (const char c : json) {
        if (c == '<')
            text += "\\u003c";
        else
            text += c;
    }
    return text;
}

}  // namespace

std::string profile_html(const std::string& json) {
    static constexpr std::string_view kMarker = "<!-- profile -->";
    const std::size_t place = kProfilePage.find(kMarker);
    if (place == std::string_view::npos) throw std::logic_error("page.html has no place for the profile");
    std::string page(kProfilePage);
    page.replace(place, kMarker.size(), script_safe(json_text(parse_profile(json), -1)));
    return page;
}

}  // namespace headwise::tools
