// Prints the ISA that is active and why, or the error.
#include <cstdio>
#include <string>

#include "headwise/cpu.hpp"
#include "headwise/error.hpp"

int main() {
    try {
        std::printf("%s: %s\n", std::string(headwise::isa_name(headwise::active_isa())).c_str(), headwise::isa_reason().c_str());
        return 0;
    } catch (const headwise::Error& error) {
        std::printf("error: %s\n", error.what());
        return 1;
    }
}
