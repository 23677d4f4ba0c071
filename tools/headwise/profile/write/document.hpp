#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace headwise::tools {

using ProfileJson = nlohmann::ordered_json;

/// What `headwise profile` wrote. Throws std::runtime_error where the text is no JSON of the schema "headwise.profile/1".
ProfileJson parse_profile(const std::string& json);

/// Whether others took time from the run.
bool is_disturbed(const ProfileJson& run);

/// Whether the task is a rectangle of a matrix product, which belongs to no head.
bool is_product(const ProfileJson& task);

/// "head 3", "heads 8-15", "product".
std::string head_name(const ProfileJson& task);

/// "2.06 ms", "12.3 us" with the Greek letter, "1.20 s": three digits.
std::string duration_text(double microseconds);

}  // namespace headwise::tools
