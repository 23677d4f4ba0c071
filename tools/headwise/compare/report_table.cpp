#include <fmt/format.h>

#include <algorithm>

#include "compare/report.hpp"
#include "measure/machine_report.hpp"
#include "text/printable.hpp"

namespace headwise::tools {
namespace {

/// A rate with three digits or more: 0.95, 23.4, 116, 2310.
std::string rate(double value) {
    return value < 10 ? fmt::format("{:.2f}", value) : fmt::format("{:.{}f}", value, value < 1000 ? 1 : 0);
}

/// "89.5 % +-0.2": the median over the rounds and half the distance between the quartiles.
std::string share(const CaseResult& result) {
    const Quartiles& q = result.measurement.fraction;
    return fmt::format("{:5.1f} %{} ±{:<4.1f}", 100 * q.median, result.bound == Bound::reading ? "r" : " ", 50 * (q.high - q.low));
}

bool any(const Comparison& comparison, auto&& condition) {
    return std::ranges::any_of(comparison.results, condition);
}

}  // namespace

std::string table_header(const Comparison& comparison, std::size_t name_width) {
    std::string above = fmt::format("\n{:<{}} {:>7}", "", name_width, "naive");
    std::string below = fmt::format("{:<{}} {:>7}", "case", name_width, "GF/s");
    for (const int threads : comparison.thread_counts) {
        above += fmt::format("  {:>7} {:<14}", "", threads_text(threads));
        below += fmt::format("  {:>7} {:<14}", "GF/s", "  of peak");
    }
    above += fmt::format("  {:>7}  {:>17}", "speed-", "max. error to f64");
    below += fmt::format("  {:>7}  {:>8} {:>8}", "up", "engine", "naive");
    return machine_text(comparison) + above + "\n" + below + "\n";
}

std::string table_row(std::span<const CaseResult> results, std::size_t name_width) {
    const CaseResult& last = results.back();
    const Accuracy& accuracy = last.accuracy;
    std::string text =
        fmt::format("{:<{}} {:>7}", printable(last.name), name_width,
                    last.checked() ? rate(accuracy.naive_gflops) + (accuracy.rows < accuracy.total_rows ? "*" : " ") : "- ");
    for (const CaseResult& result : results) text += fmt::format("  {:>7} {:<14}", rate(result.gflops()), share(result));
    if (!last.checked()) return text + fmt::format("  {:>7}  {:>8} {:>8}\n", "-", "-", "-");
    return text + fmt::format("  {:>6.0f}x  {:>8.1e} {:>8.1e}{}\n", last.speedup(), accuracy.engine_error, accuracy.naive_error,
                              is_wrong(accuracy) ? "  WRONG" : "");
}

std::string table_notes(const Comparison& comparison) {
    std::string text =
        "\nof peak: share of the FMA peak measured on the same cores between the rounds; median and half the interquartile "
        "range.\n";
    if (any(comparison, [](const CaseResult& r) { return r.bound == Bound::reading; })) {
        text +=
            "r: read-bound: share of the rate of only reading the case's keys and values (matmul: a and b), in memory or cache, "
            "measured in\n   the same way.\n";
    }
    if (any(comparison, [](const CaseResult& r) { return r.checked() && r.accuracy.rows < r.accuracy.total_rows; })) {
        text += "*: naive run and errors on some rows, evenly spread, as the naive loops would take too long on all.\n";
    }
    if (any(comparison, [](const CaseResult& r) { return !r.checked(); })) {
        text += "-: not checked, as the naive loops would take minutes.\n";
    }
    for (const CaseResult& result : comparison.results) {
        if (result.threads != comparison.thread_counts.back() || !result.accuracy.engine_to_model) continue;
        text += fmt::format("{}: differs from the model's own output by at most {:.1e} (naive: {:.1e}; largest value {:.2g})\n",
                            printable(result.name), *result.accuracy.engine_to_model, *result.accuracy.naive_to_model,
                            result.accuracy.largest);
    }
    return text;
}

}  // namespace headwise::tools
