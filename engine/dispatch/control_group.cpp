#include "engine/dispatch/control_group.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <string_view>

namespace headwise {
namespace {

std::vector<std::string> lines_of(const std::string& path) {
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    for (std::size_t end = 0; end != std::string_view::npos;) {
        end = text.find(separator);
        parts.emplace_back(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return parts;
}

/// A whole number of at least 0; none for "max", "-1" and whatever else is no such number.
std::optional<double> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return static_cast<double>(value);
}

std::optional<double> number_in(const std::string& path) {
    const std::vector<std::string> lines = lines_of(path);
    return lines.empty() ? std::nullopt : number(lines[0]);
}

/// Behind the name in a file with a name and a number on each line.
std::optional<double> number_of(const std::string& path, const std::string& name) {
    for (const std::string& line : lines_of(path))
        if (line.starts_with(name + " ")) return number(std::string_view(line).substr(name.size() + 1));
    return std::nullopt;
}

void lower(std::optional<double>& least, std::optional<double> other) {
    if (other && (!least || *other < *least)) least = other;
}

// ---------------------------------------------------------------------------------------------------------- where groups lie

/// A mounted hierarchy of groups.
struct Hierarchy {
    std::string controllers;  ///< with commas around and between them; empty: version 2, which has all
    std::string top;          ///< the group that is mounted; "/" unless a container sees a part of the tree alone
    std::string folder;       ///< where
};

/// "\040" and its like in a path, as /proc/self/mountinfo has it for blanks.
std::string unescaped(std::string_view path) {
    std::string plain;
    for (std::size_t i = 0; i < path.size(); ++i) {
        unsigned code = 0;
        if (path[i] == '\\' && i + 3 < path.size() &&
            std::from_chars(path.data() + i + 1, path.data() + i + 4, code, 8).ptr == path.data() + i + 4) {
            plain += static_cast<char>(code);
            i += 3;
        } else {
            plain += path[i];
        }
    }
    return plain;
}

std::vector<Hierarchy> hierarchies(const std::string& root) {
    std::vector<Hierarchy> found;
    for (const std::string& line : lines_of(root + "/proc/self/mountinfo")) {
        // id, parent, device, top, mount point, options, any number of optional fields, "-", type, source, options of the type.
        const std::vector<std::string> fields = split(line, ' ');
        const auto dash = std::find(fields.begin(), fields.end(), "-");
        if (dash - fields.begin() < 6 || fields.end() - dash < 4) continue;
        if (dash[1] == "cgroup2")
            found.push_back({"", unescaped(fields[3]), unescaped(fields[4])});
        else if (dash[1] == "cgroup")
            found.push_back({"," + dash[3] + ",", unescaped(fields[3]), unescaped(fields[4])});
    }
    return found;
}

/// The path below the mount point of a group that is called `group` in /proc/self/cgroup; empty where it lies outside of what is
/// mounted, as in a container that sees its own group as the top.
std::string path_below(const Hierarchy& hierarchy, std::string group) {
    if (hierarchy.top != "/") {
        if (!group.starts_with(hierarchy.top)) return "";
        group.erase(0, hierarchy.top.size());
    }
    if (!group.starts_with('/') || group == "/" || (group + "/").find("/../") != std::string::npos) return "";
    return group;
}

// -------------------------------------------------------------------------------------------------------------------- limits

std::optional<double> quota_of(const std::string& folder) {
    std::optional<double> time, period;
    if (const std::vector<std::string> lines = lines_of(folder + "/cpu.max"); !lines.empty()) {
        const std::vector<std::string> parts = split(lines[0], ' ');
        time = number(parts[0]);
        period = parts.size() > 1 ? number(parts[1]) : std::nullopt;
    } else {
        time = number_in(folder + "/cpu.cfs_quota_us");
        period = number_in(folder + "/cpu.cfs_period_us");
    }
    if (!time || !period || *time <= 0 || *period <= 0) return std::nullopt;
    return *time / *period;
}

std::optional<double> memory_left_in(const std::string& folder) {
    std::optional<double> limit = number_in(folder + "/memory.max"), used, files;
    if (limit) {
        used = number_in(folder + "/memory.current");
        files = number_of(folder + "/memory.stat", "inactive_file");
    } else {
        limit = number_in(folder + "/memory.limit_in_bytes");
        used = number_in(folder + "/memory.usage_in_bytes");
        files = number_of(folder + "/memory.stat", "total_inactive_file");
    }
    if (!limit) return std::nullopt;
    return std::max(0.0, *limit - std::max(0.0, used.value_or(0) - files.value_or(0)));
}

template <class LimitOf>
std::optional<double> least_of(const std::string& root, const std::string& controller, const LimitOf& limit_of) {
    std::optional<double> least;
    for (const std::string& folder : control_group_folders(root, controller)) lower(least, limit_of(folder));
    return least;
}

}  // namespace

std::vector<std::string> control_group_folders(const std::string& root, const std::string& controller) {
    const std::vector<Hierarchy> mounted = hierarchies(root);
    std::vector<std::string> folders;
    for (const std::string& line : lines_of(root + "/proc/self/cgroup")) {
        // number:controllers:group, without controllers in version 2.
        const std::size_t first = line.find(':'), second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        if (!controllers.empty() && ("," + controllers + ",").find("," + controller + ",") == std::string::npos) continue;
        for (const Hierarchy& hierarchy : mounted) {
            if (controllers.empty() != hierarchy.controllers.empty()) continue;
            if (!controllers.empty() && hierarchy.controllers.find("," + controller + ",") == std::string::npos) continue;
            const std::string top = root + hierarchy.folder;
            std::string below = path_below(hierarchy, line.substr(second + 1));
            for (; !below.empty(); below.erase(below.rfind('/'))) folders.push_back(top + below);
            folders.push_back(top);
        }
    }
    return folders;
}

std::optional<double> processor_quota(const std::string& root) {
    return least_of(root, "cpu", quota_of);
}

std::optional<double> memory_left(const std::string& root) {
    return least_of(root, "memory", memory_left_in);
}

}  // namespace headwise
