#include "text/key_values.hpp"

#include <algorithm>
#include <charconv>

namespace headwise::tools {

void KeyValues::add(std::string_view list) {
    while (!list.empty()) {
        const std::string_view pair = list.substr(0, list.find(','));
        list.remove_prefix(std::min(pair.size() + 1, list.size()));
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos || equals == 0) throw bad(fmt::format("'{}' is not KEY=VALUE", pair));
        const std::string_view key = pair.substr(0, equals);
        if (!values_.emplace(key, pair.substr(equals + 1)).second) throw bad(fmt::format("the key '{}' appears twice", key));
    }
}

std::optional<std::string_view> KeyValues::text(std::string_view key) {
    known_.push_back(key);
    const auto it = values_.find(key);
    return it == values_.end() ? std::nullopt : std::optional(it->second);
}

std::int64_t KeyValues::whole(std::string_view key, std::int64_t least, std::int64_t most, std::optional<std::int64_t> fallback) {
    const auto value = text(key);
    if (!value && !fallback) throw bad(fmt::format("the key '{}' is missing", key));
    if (!value) return *fallback;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(value->begin(), value->end(), number);
    if (error != std::errc{} || end != value->end() || number < least || number > most) {
        throw bad(fmt::format("{} is '{}': expected a whole number from {} to {}", key, *value, least, most));
    }
    return number;
}

void KeyValues::finish(std::string_view owner) const {
    for (const auto& [key, value] : values_) {
        if (std::ranges::find(known_, key) == known_.end()) {
            throw bad(fmt::format("unknown key '{}'; {} has {}", key, owner, fmt::join(known_, ", ")));
        }
    }
}

}  // namespace headwise::tools
