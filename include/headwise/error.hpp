#pragma once

#include <stdexcept>
#include <string>

#include "headwise/export.hpp"

namespace headwise {

/// What every public function throws on bad input. `what()` names the argument, the value it had and what was expected;
/// nothing has been written when it is thrown.
class HEADWISE_API Error : public std::invalid_argument {
  public:
    explicit Error(const std::string& message) : std::invalid_argument(message) {}
};

}  // namespace headwise
