#include "profile/write/glyphs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace headwise::tools {
namespace {

constexpr std::string_view kHeadGlyphs = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

std::string heads_text(std::int64_t first, std::int64_t last) {
    return first == last ? fmt::format("head {}", first) : fmt::format("heads {}-{}", first, last);
}

}  // namespace

HeadGlyphs::HeadGlyphs(const ProfileJson& tasks) {
    std::map<std::int64_t, std::int64_t> last_of_first;
    for (const ProfileJson& task : tasks) {
        const auto first = task.at("head").get<std::int64_t>();
        if (is_product(task))
            products_ = true;
        else
            last_of_first[first] = std::max(last_of_first[first], first + task.at("heads").get<std::int64_t>() - 1);
    }
    const std::size_t share = (last_of_first.size() + kHeadGlyphs.size() - 1) / kHeadGlyphs.size();
    std::size_t index = 0;
    for (const auto& [first, last] : last_of_first) {
        if (index % share == 0) groups_.push_back({first, last});
        groups_.back().last = last;
        group_of_head_[first] = groups_.size() - 1;
        ++index;
    }
}

char HeadGlyphs::glyph(const ProfileJson& task) const {
    return is_product(task) ? kProduct : kHeadGlyphs[group_of_head_.at(task.at("head").get<std::int64_t>())];
}

/// Whether each character stands for as many heads as the one before it, and for those that follow: the last may have fewer.
bool HeadGlyphs::regular() const {
    const auto size = [](const Group& group) { return group.last - group.first; };
    for (std::size_t i = 1; i < groups_.size(); ++i) {
        if (groups_[i].first != groups_[i - 1].last + 1 || size(groups_[i]) > size(groups_[0])) return false;
        if (i + 1 < groups_.size() && size(groups_[i]) != size(groups_[0])) return false;
    }
    return true;
}

std::vector<std::string> HeadGlyphs::legend() const {
    std::vector<std::string> entries;
    // A row of digits or of letters in one entry where the reader can count along.
    const std::size_t rows[][2] = {{0, 10}, {10, 36}, {36, 62}};
    for (const auto& [row_begin, row_end] : rows) {
        const std::size_t end = std::min(row_end, groups_.size());
        if (end <= row_begin) break;
        if (regular() && end - row_begin > 1) {
            const Group& group = groups_[row_begin];
            const std::int64_t each = group.last - group.first + 1;
            entries.push_back(fmt::format("{}-{}: {}{}", kHeadGlyphs[row_begin], kHeadGlyphs[end - 1],
                                          heads_text(group.first, groups_[end - 1].last),
                                          each > 1 ? fmt::format(", {} each", each) : ""));
        } else {
            for (std::size_t i = row_begin; i < end; ++i)
                entries.push_back(fmt::format("{}: {}", kHeadGlyphs[i], heads_text(groups_[i].first, groups_[i].last)));
        }
    }
    if (products_) entries.push_back(fmt::format("{}: product", kProduct));
    entries.push_back(fmt::format("{}: idle", kIdle));
    return entries;
}

}  // namespace headwise::tools
