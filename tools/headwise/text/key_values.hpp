#pragma once

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/usage_error.hpp"

namespace headwise::tools {

/// Values that have names on the command line.
template <class T, std::size_t N>
using Names = std::array<std::pair<std::string_view, T>, N>;

/// Throws UsageError, which begins with `what`, for a name that is none of them.
template <class T, std::size_t N>
T from_name(const Names<T, N>& names, std::string_view what, std::string_view name) {
    std::vector<std::string_view> known;
    for (const auto& [candidate, value] : names) {
        if (candidate == name) return value;
        known.push_back(candidate);
    }
    throw UsageError(fmt::format("{} is '{}': expected {}", what, name, fmt::join(known, ", ")));
}

template <class T, std::size_t N>
std::string_view to_name(const Names<T, N>& names, T value) {
    for (const auto& [name, candidate] : names) {
        if (candidate == value) return name;
    }
    return "?";
}

/// A list KEY=VALUE,KEY=VALUE,..., whose values are drawn one by one; finish() rejects those that nobody asked for. All errors are
/// UsageErrors that name the key.
class KeyValues {
  public:
    /// `what` begins every message.
    explicit KeyValues(std::string what) : what_(std::move(what)) {}

    /// `list` must outlive this.
    void add(std::string_view list);

    std::optional<std::string_view> text(std::string_view key);

    /// A whole number from `least` to `most`; `fallback` where the key is missing, which without it is an error.
    std::int64_t whole(std::string_view key, std::int64_t least, std::int64_t most, std::optional<std::int64_t> fallback = {});

    /// A number that is finite in T.
    template <std::floating_point T>
    std::optional<T> number(std::string_view key) {
        const auto value = text(key);
        if (!value) return std::nullopt;
        T result = 0;
        const auto [end, error] = std::from_chars(value->begin(), value->end(), result);
        if (error != std::errc{} || end != value->end() || !std::isfinite(result)) {
            throw bad(fmt::format("{} is '{}': expected a finite number", key, *value));
        }
        return result;
    }

    template <class T, std::size_t N>
    T name(std::string_view key, const Names<T, N>& names, T fallback) {
        const auto value = text(key);
        return value ? from_name(names, fmt::format("{}: {}", what_, key), *value) : fallback;
    }

    /// `owner` is said to have the keys that were asked for.
    void finish(std::string_view owner) const;

    UsageError bad(std::string_view why) const { return UsageError(fmt::format("{}: {}", what_, why)); }

  private:
    std::string what_;
    std::map<std::string_view, std::string_view> values_;
    std::vector<std::string_view> known_;
};

}  // namespace headwise::tools
