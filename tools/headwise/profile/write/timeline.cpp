#include "profile/write/timeline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "profile/write/document.hpp"
#include "profile/write/glyphs.hpp"
#include "text/printable.hpp"

namespace headwise::tools {
namespace {

/// The code point that begins at `at`, and its number of bytes; nlohmann-json has checked that the text is UTF-8.
std::pair<char32_t, std::size_t> code_point(const std::string& text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[at + i])); };
    const std::size_t size = byte(0) < 0x80 ? 1 : byte(0) < 0xe0 ? 2 : byte(0) < 0xf0 ? 3 : 4;
    char32_t point = size == 1 ? byte(0) : byte(0) & (0xffu >> (size + 1));
    for (std::size_t i = 1; i < size; ++i) point = (point << 6) | (byte(i) & 0x3f);
    return {point, size};
}

/// From Hangul on every character counts as two columns: some are, and none is wider.
int columns_of(char32_t c) {
    return c >= 0x1100 ? 2 : 1;
}

/// The text in at most so many columns; "…" stands for what is cut off.
std::string in_columns(const std::string& text, int columns) {
    std::string result;
    std::size_t size_before_cut = 0;
    int used = 0;
    for (std::size_t at = 0; at < text.size();) {
        const auto [point, size] = code_point(text, at);
        used += columns_of(point);
        if (used > columns) return result.substr(0, size_before_cut) + "…";
        result += text.substr(at, size);
        if (used < columns) size_before_cut = result.size();
        at += size;
    }
    return result;
}

/// Time on the way from one edge of the bars to the other.
struct TimeScale {
    double end;  // us
    int cells;

    double cell_us() const { return end / cells; }
    int cell(double us) const { return std::clamp(static_cast<int>(us / cell_us()), 0, cells - 1); }
};

double end_of(const ProfileJson& run) {
    double end = 1e-3;
    for (const char* list : {"loops", "tasks"}) {
        for (const ProfileJson& span : run.at(list)) end = std::max(end, span.at("end_us").get<double>());
    }
    return end;
}

/// For each cell the time of each character.
using CellTimes = std::vector<std::array<double, 128>>;

void add_task(const ProfileJson& task, char glyph, const TimeScale& scale, CellTimes& times) {
    const double start = task.at("start_us").get<double>(), end = task.at("end_us").get<double>();
    for (int cell = scale.cell(start); cell <= scale.cell(end); ++cell) {
        const double overlap = std::min(end, (cell + 1) * scale.cell_us()) - std::max(start, cell * scale.cell_us());
        times[static_cast<std::size_t>(cell)][static_cast<std::size_t>(glyph)] += std::max(0.0, overlap);
    }
}

std::string bar(const CellTimes& times, const TimeScale& scale) {
    std::string text;
    for (const auto& cell : times) {
        double busy = 0;
        for (const double us : cell) busy += us;
        const auto longest = std::max_element(cell.begin(), cell.end());
        text += busy < scale.cell_us() / 2 ? HeadGlyphs::kIdle : static_cast<char>(longest - cell.begin());
    }
    return text;
}

/// 1, 2 or 5 times a power of ten, at least `least`.
double round_step(double least) {
    const double power = std::pow(10, std::floor(std::log10(least)));
    for (const double factor : {1.0, 2.0, 5.0}) {
        if (factor * power >= least) return factor * power;
    }
    return 10 * power;
}

/// Two lines below the bars: ticks, and the time at each. The unit stands in the margin.
std::string axis(const TimeScale& scale, int margin) {
    const auto [unit, divisor] = scale.end >= 1e7   ? std::pair("s ", 1e6)
                                 : scale.end >= 1e4 ? std::pair("ms", 1e3)
                                                    : std::pair("µs", 1.0);
    constexpr int kColumnsPerTick = 12;
    const double step = round_step(kColumnsPerTick * scale.cell_us() / divisor);
    const int digits = std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)));
    std::vector<const char*> line(static_cast<std::size_t>(scale.cells), "─");
    std::string labels;
    for (double tick = 0; tick * divisor < scale.end; tick += step) {
        const auto cell = static_cast<std::size_t>(scale.cell(tick * divisor));
        const std::string label = fmt::format("{:.{}f}", tick, digits);
        line[cell] = "┬";
        if (cell + label.size() <= line.size()) labels += std::string(cell - std::min(cell, labels.size()), ' ') + label;
    }
    return fmt::format("{:{}}└{}┘\n{:>{}} {}\n", "", margin, fmt::join(line, ""), unit, margin, labels);
}

/// Entries side by side, in as many lines as it takes.
std::string wrapped(const std::vector<std::string>& entries, int columns) {
    std::string text, line;
    for (const std::string& entry : entries) {
        if (!line.empty() && static_cast<int>(line.size() + 3 + entry.size()) > columns) text += std::exchange(line, "") + "\n";
        line += (line.empty() ? "" : "   ") + entry;
    }
    return text + line + "\n";
}

std::string run_timeline(const ProfileJson& run, int columns) {
    const auto threads = run.at("threads").get<int>();
    const std::string title =
        fmt::format("{}, {} thread{}, {}{}: ", run.at("schedule").get<std::string>(), threads, threads == 1 ? "" : "s",
                    duration_text(run.at("seconds").get<double>() * 1e6), is_disturbed(run) ? ", disturbed" : "");
    const HeadGlyphs glyphs(run.at("tasks"));

    const ProfileJson& workers = run.at("workers");
    std::map<int, CellTimes> times;
    std::size_t margin = 2;  // the unit of the axis
    for (const ProfileJson& worker : workers)
        margin = std::max(margin, fmt::formatted_size("worker {}", worker.at("worker").get<int>()));
    constexpr int kEdgesAndShare = 10;  // "│", "│ 100.0 %"
    const TimeScale scale{end_of(run), columns - static_cast<int>(margin) - kEdgesAndShare};
    for (const ProfileJson& worker : workers) times[worker.at("worker").get<int>()].resize(static_cast<std::size_t>(scale.cells));
    for (const ProfileJson& task : run.at("tasks"))
        add_task(task, glyphs.glyph(task), scale, times.at(task.at("worker").get<int>()));

    std::string text = in_columns(title + printable(run.at("case").get<std::string>()), columns) + "\n";
    for (const ProfileJson& worker : workers) {
        const int number = worker.at("worker").get<int>();
        const double busy = worker.at("busy_us").get<double>(), idle = worker.at("idle_us").get<double>();
        text += fmt::format("{:>{}}│{}│ {:5.1f} %\n", fmt::format("worker {}", number), margin, bar(times.at(number), scale),
                            100 * busy / std::max(1e-9, busy + idle));
    }
    return text + axis(scale, static_cast<int>(margin)) + wrapped(glyphs.legend(), columns);
}

}  // namespace

std::string profile_timeline(const std::string& json, int columns) {
    constexpr int kLeastColumns = 40;
    const ProfileJson profile = parse_profile(json);
    std::string text;
    for (const ProfileJson& run : profile.at("runs"))
        text += (text.empty() ? "" : "\n") + run_timeline(run, std::max(columns, kLeastColumns));
    return text;
}

}  // namespace headwise::tools
