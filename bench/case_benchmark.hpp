#pragma once

#include <string>

namespace headwise::bench {

/// Registers a case as `headwise compare --case` takes it, on one thread and on all cores. Its counters: GF/s, GB/s (operands read
/// once), and peak_% or read_%: the share of the FMA peak, or of the rate of reading the same operands where that is the lower
/// roof, measured before and after.
void register_case(const std::string& text);

/// The yardsticks of the active ISA, on one thread: FLOPs a second in 1e9.
double one_thread_peak_gflops();

}  // namespace headwise::bench
