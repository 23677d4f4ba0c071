#pragma once

#include <span>

#include "engine/kernels/kernel_table.hpp"

namespace headwise {

/// The tables that this binary carries: scalar first, then weakest first within a processor family. All that depends on the ISAs
/// goes through this list: what is available, the tables that calls run with, the tests of each.
std::span<const KernelTable* const> kernel_list() noexcept;

}  // namespace headwise
