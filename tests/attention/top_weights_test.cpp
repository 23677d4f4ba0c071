#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "headwise/headwise.hpp"
#include "tests/support/random_numbers.hpp"

namespace headwise::test {
namespace {

/// Key j's logit is level(j) for all rows; `most` top weights are asked for.
template <class Level>
void check_top(const std::string& name, std::int64_t keys, std::int64_t most, Level level) {
    constexpr std::int64_t kRows = 3;
    const std::vector<float> query(kRows, 1.0f);
    std::vector<float> key(static_cast<std::size_t>(keys)), weights(kRows * key.size()),
        top(static_cast<std::size_t>(kRows * most));
    std::vector<std::int32_t> top_keys(top.size()), order(key.size());
    for (std::int64_t j = 0; j < keys; ++j) key[static_cast<std::size_t>(j)] = static_cast<float>(level(j));
    const AttentionArguments arguments{.query = bhsd<const float>(query.data(), 1, 1, kRows, 1),
                                       .key = bhsd<const float>(key.data(), 1, 1, keys, 1)};
    attention_weights(arguments, {.scale = 1.0f}, {},
                      {.weights = {weights.data(), {1, 1, kRows, keys}},
                       .top_weights = {top.data(), {1, 1, kRows, most}},
                       .top_keys = {top_keys.data(), {1, 1, kRows, most}}});
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, [&](std::int32_t x, std::int32_t y) {
        const float of_x = key[static_cast<std::size_t>(x)], of_y = key[static_cast<std::size_t>(y)];
        return of_x != of_y ? of_x > of_y : x < y;
    });
    bool right = true;
    for (std::size_t i = 0; i < top.size(); ++i) {
        const std::size_t row = i / static_cast<std::size_t>(most), place = i % static_cast<std::size_t>(most);
        if (place >= key.size()) {
            right &= top_keys[i] == -1 && top[i] == 0;
            continue;
        }
        right &= top_keys[i] == order[place];
        right &= top[i] == weights[row * key.size() + static_cast<std::size_t>(order[place])];
    }
    INFO(name << ", " << keys << " keys, top " << most);
    CHECK(right);
}

TEST_CASE("of equal weights the earlier keys are the top ones, wherever they lie") {
    RandomNumbers random(test_seed());
    INFO(reproduction(test_seed()));
    for (const std::int64_t keys : {1, 7, 63, 64, 65, 128, 129, 300, 511, 1000})
        for (const std::int64_t most : {1, 9, 64, 200}) {
            const auto check = [&](const std::string& name, auto level) { check_top(name, keys, most, level); };
            check("all equal", [](std::int64_t) { return 0; });
            check("two levels, the later half higher", [&](std::int64_t j) { return 2 * j >= keys ? 1 : 0; });
            check("two levels, the earlier half higher", [&](std::int64_t j) { return 2 * j < keys ? 1 : 0; });
            check("three random levels", [&](std::int64_t) { return random.between(0, 2); });
            check("a high one in twenty", [&](std::int64_t) { return random.between(0, 19) == 0 ? 1 : 0; });
            check("random", [&](std::int64_t) { return random.normal(); });
            check("steps of 5 that rise", [](std::int64_t j) { return static_cast<double>(j / 5) / 50; });
            check("steps of 5 that fall", [](std::int64_t j) { return -static_cast<double>(j / 5) / 50; });
            check("steps of 70 that repeat", [](std::int64_t j) { return j % 70 / 5; });
        }
}

}  // namespace
}  // namespace headwise::test
