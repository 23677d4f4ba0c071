#pragma once

#include <string>

#include "profile/analyze/profiled_run.hpp"

namespace headwise::tools {

/// The schema "headwise.profile/1" of docs/profile.md.
std::string profile_json(const ProfileReport& report);

/// A line for each run, with a header; RFC 4180. What is unknown is empty.
std::string profile_csv(const ProfileReport& report);

/// For people: one run, and what other numbers of workers would make of a case.
std::string profile_text(const ProfiledRun& run);
std::string what_if_text(std::span<const ProfiledRun> runs_of_case);

}  // namespace headwise::tools
