#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "profile/write/document.hpp"

namespace headwise::tools {

/// Which character stands for which head of a run, in the terminal's timeline: 0-9, a-z, A-Z in the order of the heads. Beyond 62
/// heads each stands for several neighbours.
class HeadGlyphs {
  public:
    static constexpr char kIdle = '.';
    static constexpr char kProduct = '=';

    explicit HeadGlyphs(const ProfileJson& tasks);

    char glyph(const ProfileJson& task) const;

    /// "0-9: heads 0-9", "=: product", ".: idle", ...
    std::vector<std::string> legend() const;

  private:
    /// Heads [first, last] that share a character.
    struct Group {
        std::int64_t first;
        std::int64_t last;
    };

    std::map<std::int64_t, std::size_t> group_of_head_;  // by the first head of a task
    std::vector<Group> groups_;
    bool products_ = false;

    bool regular() const;
};

}  // namespace headwise::tools
