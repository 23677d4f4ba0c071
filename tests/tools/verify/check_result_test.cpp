// What `headwise verify` makes of figures, and how it tells them.
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

#include "verify/attention.hpp"
#include "verify/check_result.hpp"
#include "verify/checks.hpp"

namespace headwise::tools {
namespace {

CheckResult one_unit() {
    return {.isa = Isa::scalar, .check = "exp", .things = "floats", .allowed = 1, .unit = "ULP"};
}

TEST_CASE("a check passes with figures up to what is allowed") {
    CheckResult result = one_unit();
    for (const double figure : {0.0, 1.0, 0.5}) result.add(figure, [] { return "never told"; });
    CHECK(result.passed());
    CHECK(result.count == 3);
    CHECK(result.worst == 1);
    CHECK(result.failures.empty());
    const std::string row = check_row(result);
    CHECK(row.starts_with("scalar "));
    CHECK(row.find(" exp ") != std::string::npos);
    CHECK(row.find(" 3 floats ") != std::string::npos);
    CHECK(row.ends_with("  ok\n"));
    CHECK(std::ranges::count(row, '\n') == 1);
}

TEST_CASE("a check fails with a figure beyond what is allowed, infinity and NaN") {
    using Limits = std::numeric_limits<double>;
    for (const double figure : {1.0000001, Limits::infinity(), Limits::quiet_NaN()}) {
        CheckResult result = one_unit();
        result.add(0.5, [] { return "good"; });
        result.add(figure, [] { return "bad"; });
        CHECK_FALSE(result.passed());
        CHECK(result.failed == 1);
        const std::string row = check_row(result);
        CHECK(row.find("FAILED\n  bad\n") != std::string::npos);
        CHECK(row.find("good") == std::string::npos);
    }
}

TEST_CASE("ten failures are told, the others counted") {
    CheckResult result = one_unit();
    for (int i = 0; i < 25; ++i) result.add(2 + i, [&] { return "failure " + std::to_string(i); });
    const std::string row = check_row(result);
    CHECK(result.worst == 26);
    CHECK(row.find("failure 9\n") != std::string::npos);
    CHECK(row.find("failure 10\n") == std::string::npos);
    CHECK(row.ends_with("  and 15 more, 25 in all\n"));
}

TEST_CASE("errors as a percentage of what is allowed") {
    ResultErrors errors;
    CHECK(percentage(errors) == 0);
    errors.naive = 1;
    errors.engine = 1;
    CHECK(percentage(errors) == 50);
    errors.engine = 2.5;
    CHECK(percentage(errors) == 125);
    errors.naive = 0;
    CHECK(percentage(errors) == std::numeric_limits<double>::infinity());
    errors.engine = 0;
    errors.wrong = "NaN";
    CHECK(percentage(errors) == std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace headwise::tools
