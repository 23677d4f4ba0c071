#pragma once

#include <string>
#include <vector>

#include "cases/case.hpp"
#include "measure/accuracy.hpp"
#include "measure/machine_probe.hpp"
#include "measure/measure.hpp"
#include "workloads/workload.hpp"

namespace headwise::tools {

/// What keeps a case from being faster, and so what its speed is a share of.
enum class Bound {
    multiply_add,  ///< the cores' arithmetic
    reading,       ///< reading the operands from where they lie, memory or a cache
};

/// One case at one number of threads.
struct CaseResult {
    std::string name;
    CaseSizes sizes;
    bool random_input = true;  ///< false: from a file, so that case_text(sizes) does not bring it back
    int threads = 1;
    double flops = 0, read_bytes = 0;
    Bound bound = Bound::multiply_add;
    Measurement measurement;
    Accuracy accuracy;

    double gflops() const { return flops / measurement.seconds.median / 1e9; }
    double read_gigabytes() const { return read_bytes / measurement.seconds.median / 1e9; }
    double speedup() const { return accuracy.naive_gflops > 0 ? gflops() / accuracy.naive_gflops : 0; }
    bool checked() const { return accuracy.rows > 0; }
};

/// The peaks are those before the first case.
struct Comparison : MachinePeaks {
    std::vector<CaseResult> results;  ///< by case, then by number of threads
};

/// By the lower roof (roofline()) at the workload's intensity, measured now on the team. `operands` are the workload's.
Bound bound_of(const Workload& workload, MachineProbe& probe, ThreadTeam& team, ReadSet& operands);

}  // namespace headwise::tools
