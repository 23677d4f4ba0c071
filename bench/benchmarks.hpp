#pragma once

namespace headwise::bench {

/// Registers the benchmarks of the program; each *_bench.cpp defines it.
void register_benchmarks();

}  // namespace headwise::bench
