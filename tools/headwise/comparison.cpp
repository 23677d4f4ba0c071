#include "comparison.hpp"

namespace headwise::tools {

Bound bound_of(const Workload& workload) {
    // Fewer than 4 FLOPs for each byte read: no machine of today can be kept busy from memory then (here it takes 6 to 10 and
    // more).
    if (workload.flops() >= 4 * workload.read_bytes()) return Bound::multiply_add;
    return workload.read_bytes() > 2 * static_cast<double>(cpu_info().caches.l3) ? Bound::memory : Bound::cache;
}

bool is_wrong(const Accuracy& accuracy) {
    // Rounding moves results by some 1e-6 of the largest; bugs move them by much more.
    return accuracy.rows > 0 && !(accuracy.engine_error <= 1e-4 * accuracy.largest + 4 * accuracy.naive_error);
}

}  // namespace headwise::tools
