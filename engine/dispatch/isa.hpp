#pragma once

#include <string>

#include "headwise/cpu.hpp"

namespace headwise {

/// Throws Error unless `isa` can run here; `source` says who asked for it: "HEADWISE_ISA", "set_isa: isa".
void require_available(Isa isa, const std::string& source);

}  // namespace headwise
