#include "compare/comparison.hpp"

#include <algorithm>

#include "measure/roofline.hpp"

namespace headwise::tools {

Bound bound_of(const Workload& workload, MachineProbe& probe, ThreadTeam& team, ReadSet& operands) {
    double fma = 0, read = 0;
    for (int burst = 0; burst < 3; ++burst) {
        fma = std::max(fma, probe.multiply_add_gflops(team, 0.004));
        read = std::max(read, probe.read_gigabytes(team, operands, 0.01));
    }
    const Roofline roofs = roofline(workload.flops(), workload.read_bytes(), 1, fma, read);
    return roofs.by_bandwidth ? Bound::reading : Bound::multiply_add;
}

}  // namespace headwise::tools
