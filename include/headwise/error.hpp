#pragma once

#include <stdexcept>
#include <string>

#include "headwise/export.hpp"

namespace headwise {

/// What a caller can do about an Error.
enum class ErrorKind {
    argument,     ///< an argument is wrong or does not match another: correct it
    unsupported,  ///< valid, but not possible here: an ISA that the machine or the binary lacks, a dimension beyond the kernels'
                  ///< limit
    memory,       ///< it does not fit: no free page in a cache, sizes beyond 64 bits
};

/// Every public function throws it on bad input. `what()` names the argument, its value and what was expected. Nothing has been
/// written when it is thrown.
class HEADWISE_API Error : public std::invalid_argument {
  public:
    explicit Error(const std::string& message, ErrorKind kind = ErrorKind::argument)
        : std::invalid_argument(message), kind_(kind) {}

    ErrorKind kind() const noexcept { return kind_; }

  private:
    ErrorKind kind_;
};

}  // namespace headwise
