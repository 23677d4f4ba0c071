#include "variants/report.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "measure/machine_report.hpp"

namespace headwise::tools {
namespace {

constexpr int kGoalWidth = 8, kRateWidth = 7, kFigureWidth = 20, kMetWidth = 3;

/// "<= 10 %", ">= 1.8x".
std::string goal_text(const VariantEntry& entry) {
    if (!entry.goal) return "-";
    const bool share = entry.figure != Figure::speedup && entry.figure != Figure::thread_speedup;
    return fmt::format("{} {:.4g}{}", less_is_better(entry.figure) ? "<=" : ">=", share ? 100 * *entry.goal : *entry.goal,
                       share ? " %" : "x");
}

/// "costs  +3.1 % ±0.4": the median over the rounds and half the distance between the quartiles.
std::string figure_text(const VariantResult& result) {
    const Quartiles q = result.value();
    const double spread = (q.high - q.low) / 2;
    switch (result.entry.figure) {
        case Figure::extra_time: return fmt::format("costs {:+6.1f} % ±{:<4.1f}", 100 * q.median, 100 * spread);
        case Figure::flop_rate: return fmt::format("rate  {:6.1f} % ±{:<4.1f}", 100 * q.median, 100 * spread);
        case Figure::bandwidth: return fmt::format("reads {:6.1f} % ±{:<4.1f}", 100 * q.median, 100 * spread);
        case Figure::speedup:
        case Figure::thread_speedup: break;
    }
    return fmt::format("speed {:6.2f}x  ±{:<4.2f}", q.median, spread);
}

/// Without the padding of the last column.
std::string line(std::string text) {
    text.erase(text.find_last_not_of(' ') + 1);
    return text + "\n";
}

std::string met_text(const VariantResult& result) {
    const std::optional<bool> met = result.met();
    return met ? (*met ? "yes" : "no") : "-";
}

}  // namespace

std::string variant_header(const MachinePeaks& peaks, std::size_t name_width) {
    std::string above = fmt::format("\n{:<{}}  {:<{}}", "", name_width + 2, "", kGoalWidth);
    std::string below = fmt::format("{:<{}}  {:<{}}", "plain case, and its variants", name_width + 2, "goal", kGoalWidth);
    for (const int threads : peaks.thread_counts) {
        above += fmt::format("  {:>{}}  {:<{}} {:<{}}", "", kRateWidth, threads_text(threads), kFigureWidth, "", kMetWidth);
        below += fmt::format("  {:>{}}  {:<{}} {:<{}}", "GF/s", kRateWidth, "variant", kFigureWidth, "met", kMetWidth);
    }
    return machine_text(peaks) + line(above) + line(below);
}

std::string variant_base(const VariantEntry& entry) {
    return entry.base + "\n";
}

std::string variant_row(std::span<const VariantResult> results, std::size_t name_width) {
    const VariantResult& last = results.back();
    std::string text = fmt::format("  {:<{}}  {:<{}}", last.entry.name, name_width, goal_text(last.entry), kGoalWidth);
    if (last.accuracy.wrong())
        return text + fmt::format("  WRONG: error {:.1e} (log-sum-exp: {:.1e}), naive {:.1e}\n", last.accuracy.out.engine_error,
                                  last.accuracy.log_sum_exp.engine_error, last.accuracy.out.naive_error);
    for (const VariantResult& result : results) {
        const std::string rate = result.measured() ? fmt::format("{:.1f}", result.yardstick()) : "-";
        const std::string figure = result.measured() ? figure_text(result) : "-";
        text += fmt::format("  {:>{}}  {:<{}} {:<{}}", rate, kRateWidth, figure, kFigureWidth, met_text(result), kMetWidth);
    }
    return line(text);
}

std::string variant_notes(const VariantComparison& comparison) {
    const std::string text =
        "\nGF/s: rate of the plain case, measured in turn with the variant; GB/s for \"reads\"; one thread's rate if threads are "
        "compared.\ncosts: extra time. Medians over the rounds and half the interquartile range. Every variant was checked first, "
        "against the\nnaive f64 loops on some rows of some heads.\n";
    const auto count = [&](auto condition) { return std::ranges::count_if(comparison.results, condition); };
    const auto goals = count([](const VariantResult& r) { return r.met().has_value(); });
    const auto met = count([](const VariantResult& r) { return r.met().value_or(false); });
    return text + fmt::format("{} of {} goals met.\n", met, goals);
}

}  // namespace headwise::tools
