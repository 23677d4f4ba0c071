#include "verify/check_result.hpp"

#include <fmt/format.h>

#include "headwise/cpu.hpp"

namespace headwise::tools {
namespace {

constexpr const char* kColumns = "{:<8} {:<10} {:<52} {:>12} {:>12}  {}\n";

std::string with_unit(double figure, const std::string& unit) {
    return fmt::format("{:.3g} {}", figure, unit);
}

}  // namespace

std::string check_header() {
    return fmt::format(fmt::runtime(kColumns), "ISA", "check", "tried", "worst", "allowed", "");
}

std::string check_row(const CheckResult& result) {
    std::string text = fmt::format(fmt::runtime(kColumns), isa_name(result.isa), result.check,
                                   fmt::format("{} {}", result.count, result.things), with_unit(result.worst, result.unit),
                                   with_unit(result.allowed, result.unit), result.passed() ? "ok" : "FAILED");
    for (const std::string& failure : result.failures) text += fmt::format("  {}\n", failure);
    const auto told = static_cast<std::int64_t>(result.failures.size());
    if (result.failed > told) text += fmt::format("  and {} more, {} in all\n", result.failed - told, result.failed);
    return text;
}

std::string check_notes() {
    return "100 % is twice the error of the naive f32 loops, both against f64, and a few last places more, over up to 64 draws.\n";
}

}  // namespace headwise::tools
