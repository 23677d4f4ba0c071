#include "memory_limit.hpp"

#include <fstream>
#include <limits>
#include <string>

namespace headwise::tools {

double available_memory() {
    std::ifstream file("/proc/meminfo");
    for (std::string name; file >> name;) {
        double kibibytes = 0;
        if (name == "MemAvailable:" && file >> kibibytes) return kibibytes * 1024;
        file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    }
    return 4e9;
}

}  // namespace headwise::tools
