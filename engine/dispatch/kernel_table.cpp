#include "engine/kernels/kernel_table.hpp"

#include <algorithm>
#include <cassert>

#include "engine/dispatch/kernel_list.hpp"

namespace headwise {

const KernelTable& kernel_table(Isa isa) noexcept {
    const auto list = kernel_list();
    const auto found = std::ranges::find(list, isa, &KernelTable::isa);
    assert(found != list.end());
    return **found;
}

}  // namespace headwise
