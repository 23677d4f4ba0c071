#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "headwise/isa.hpp"

namespace headwise::tools {

/// What one check of `headwise verify` came to on one ISA.
struct CheckResult {
    Isa isa = Isa::scalar;
    std::string check{};
    std::int64_t count = 0;  ///< of what was tried
    std::string things{};    ///< what was tried
    double worst = 0, allowed = 0;
    std::string unit{};  ///< of worst and allowed

    std::int64_t failed = 0;              ///< how many of those tried
    std::vector<std::string> failures{};  ///< a line on each of the first kMostFailures of them

    static constexpr std::size_t kMostFailures = 10;

    /// One thing more was tried; it passes with a figure of at most what is allowed, fails with NaN. `failure` makes the line on
    /// it, for people.
    template <class Text>
    void add(double figure, const Text& failure) {
        ++count;
        const bool failing = !(figure <= allowed);
        if (!(figure <= worst)) worst = figure;
        if (!failing) return;
        if (++failed <= static_cast<std::int64_t>(kMostFailures)) failures.push_back(failure());
    }

    bool passed() const { return failed == 0; }
};

/// The lines of a table.
std::string check_header();
std::string check_row(const CheckResult& result);  ///< with the failures below it

/// What the percentages are.
std::string check_notes();

}  // namespace headwise::tools
