#pragma once

#include <string>

namespace headwise::tools {

/// The profile as trace events, which ui.perfetto.dev and chrome://tracing open: a process for each run, with a thread for its
/// loops, one for each worker, a slice for each task, and a counter of busy workers. Times in microseconds since the start of the
/// run. Throws std::runtime_error where `json` is no profile.
std::string profile_trace(const std::string& json);

}  // namespace headwise::tools
