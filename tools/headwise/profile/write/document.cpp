#include "profile/write/document.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <stdexcept>

namespace headwise::tools {

ProfileJson parse_profile(const std::string& json) {
    ProfileJson profile = ProfileJson::parse(json, nullptr, false);
    if (!profile.is_object() || profile.value("schema", ProfileJson()) != "headwise.profile/1" || !profile.contains("runs"))
        throw std::runtime_error("the profile is no JSON of the schema headwise.profile/1");
    return profile;
}

bool is_disturbed(const ProfileJson& run) {
    return run.value("disturbed", false);
}

bool is_product(const ProfileJson& task) {
    return task.at("kernel") == "matmul";
}

std::string head_name(const ProfileJson& task) {
    if (is_product(task)) return "product";
    const auto head = task.at("head").get<std::int64_t>();
    const auto heads = task.at("heads").get<std::int64_t>();
    return heads > 1 ? fmt::format("heads {}-{}", head, head + heads - 1) : fmt::format("head {}", head);
}

std::string duration_text(double microseconds) {
    const auto digits = [](double value) { return value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2; };
    const auto [value, unit] = microseconds >= 1e6   ? std::pair(microseconds / 1e6, "s")
                               : microseconds >= 1e3 ? std::pair(microseconds / 1e3, "ms")
                                                     : std::pair(microseconds, "µs");
    return fmt::format("{:.{}f} {}", value, digits(value), unit);
}

}  // namespace headwise::tools
