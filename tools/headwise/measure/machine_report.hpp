#pragma once

#include <nlohmann/json.hpp>

#include <string>

#include "measure/machine_probe.hpp"

namespace headwise::tools {

/// What every report begins with: the processor, the ISA, and the peaks at each number of threads.
std::string machine_text(const MachinePeaks& peaks);
nlohmann::ordered_json machine_json(const MachinePeaks& peaks);

/// "1 thread", "2 threads".
std::string threads_text(int threads);

}  // namespace headwise::tools
