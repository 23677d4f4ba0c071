#pragma once

#include <stdexcept>
#include <string>

namespace headwise::tools {

/// What the user asked for cannot be done: a bad argument or a bad input file. The program prints it on one line and exits with 2;
/// every other exception exits with 1.
class UsageError : public std::runtime_error {
  public:
    explicit UsageError(const std::string& message) : std::runtime_error(message) {}
};

}  // namespace headwise::tools
