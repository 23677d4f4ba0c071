#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "headwise/cpu.hpp"

namespace headwise {

/// What the kernels of one ISA ask of the machine. The one list of ISAs: names, availability and messages all come from it.
struct IsaRequirements {
    Isa isa;
    std::string_view name;
    bool compiled_in;                        ///< whether this binary carries its kernels
    std::vector<std::string_view> features;  ///< names as in cpu_features(); all of them must be there (KernelTable::features)
};

/// One entry for each value of Isa, weakest first within a processor family.
const std::vector<IsaRequirements>& isa_requirements();

/// The features this machine has, of those that matter here: the processor announces them and the operating system saves their
/// registers. Decided by feature bits alone, never by the processor's vendor or model.
std::span<const std::string_view> cpu_features();

bool has_feature(std::string_view name);

}  // namespace headwise
