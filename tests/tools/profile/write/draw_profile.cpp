// Draws a profile for tests/tools/profile/write/*_test.py: draw_profile html|trace|timeline [COLUMNS] < JSON
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <string>

#include "profile/write/html.hpp"
#include "profile/write/timeline.hpp"
#include "profile/write/trace.hpp"

int main(int count, char** arguments) {
    using namespace headwise::tools;
    const std::string form = count > 1 ? arguments[1] : "";
    const std::string json(std::istreambuf_iterator<char>(std::cin), {});
    try {
        if (form == "html")
            std::cout << profile_html(json);
        else if (form == "trace")
            std::cout << profile_trace(json);
        else if (form == "timeline")
            std::cout << profile_timeline(json, count > 2 ? std::atoi(arguments[2]) : 80);
        else
            return std::cerr << "usage: draw_profile html|trace|timeline [COLUMNS] < JSON\n", 2;
    } catch (const std::exception& error) {
        return std::cerr << "draw_profile: " << error.what() << '\n', 1;
    }
    return 0;
}
