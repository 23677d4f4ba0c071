// What the library says in a program that has chosen another locale, where 1.5 is written "1,5".
#include <doctest/doctest.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <locale>
#include <string>
#include <vector>

#include "headwise/headwise.hpp"
#include "tests/support/error_message.hpp"

namespace headwise::test {
namespace {

constexpr const char* kGerman = "de_DE.UTF-8";
constexpr int kSkipped = 77;  // SKIP_RETURN_CODE in CMakeLists.txt

/// Every text of the library's that holds a number with a fraction, or one of more than three digits.
std::vector<std::string> texts() {
    const float x[2] = {};
    float out[2] = {};
    const auto in = bhsd(x, 1, 1, 1, 2);
    const auto reference = [&](const AttentionOptions& options, const AttentionArguments& rules = {}) {
        return message_of([&] { reference::attention<float>(in, in, in, bhsd(out, 1, 1, 1, 2), options, rules); });
    };
    const auto plan = [](const AttentionOptions& options) { return message_of([&] { AttentionPlan({.head_dim = 64}, options); }); };
    const float infinity = std::numeric_limits<float>::infinity();
    const std::vector<float> scales{infinity};
    const AttentionPlan large({.num_heads = 12345, .query_length = 4321, .key_length = 5000, .head_dim = 64});
    return {plan({.softcap = -1.5f}),
            plan({.scale = 3e38f}),
            plan({.scale = 1e38f, .softcap = 0.1f}),
            plan({.max_threads = -12345}),
            reference({.softcap = -1.5f}),
            reference({.scale = infinity}),
            reference({}, {.scales = scales}),
            message_of([] { RopeTable({.dims = 2, .base = -1.5}, 1); }),
            message_of([] { RopeTable({.dims = 12345}, 1); }),
            large.explain().text()};
}

void use_c_locale() {
    std::locale::global(std::locale::classic());
    std::setlocale(LC_ALL, "C");
}

TEST_CASE("messages name the number that was given") {
    const std::vector<std::string> said = texts();
    check_message(said[0], {"options.softcap is -1.5:"});
    check_message(said[1], {"options.scale is 3e+38:"});
    check_message(said[2], {"options.scale is 1e+38, options.softcap is 0.1:"});
    check_message(said[4], {"options.softcap is -1.5:"});
    check_message(said[5], {"options.scale is inf:"});
    check_message(said[6], {"scales[0] is inf:"});
    check_message(said[7], {"options.base is -1.5:"});
}

TEST_CASE("messages and explanations are the same after std::locale::global") {
    struct German : std::numpunct<char> {
        char do_decimal_point() const override { return ','; }
        char do_thousands_sep() const override { return '.'; }
        std::string do_grouping() const override { return "\3"; }
    };
    const std::vector<std::string> expected = texts();
    std::locale::global(std::locale(std::locale::classic(), new German));
    const std::vector<std::string> found = texts();
    use_c_locale();
    CHECK(found == expected);
}

TEST_CASE("messages and explanations are the same in a German locale") {
    const std::vector<std::string> expected = texts();
    if (!std::setlocale(LC_ALL, kGerman)) {
        std::printf("skipped: the system has no locale %s\n", kGerman);
        std::exit(kSkipped);
    }
    char half[8];
    std::snprintf(half, sizeof half, "%.1f", 0.5);
    REQUIRE(std::string(half) == "0,5");  // this locale is one that shows
    const std::vector<std::string> by_setlocale = texts();
    std::locale::global(std::locale(kGerman));
    const std::vector<std::string> by_both = texts();
    use_c_locale();
    CHECK(by_setlocale == expected);
    CHECK(by_both == expected);
}

}  // namespace
}  // namespace headwise::test
