#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "headwise/headwise.hpp"

namespace headwise::test {
namespace {

// One key's logit is 5 nats above all others, so each of those adds little to a sum that is already large. A single f32 chain over
// 131,073 keys was off by 1.1e-3.
void check_ones(std::int64_t keys, std::int64_t rows) {
    CAPTURE(keys);
    CAPTURE(rows);
    const auto count = static_cast<std::size_t>(keys);
    std::vector<float> query(static_cast<std::size_t>(rows), 1.0f), key(count, 0.0f), value(count, 1.0f), out(query.size());
    key[0] = 5;
    attention(bhsd<const float>(query.data(), 1, 1, rows, 1), bhsd<const float>(key.data(), 1, 1, keys, 1),
              bhsd<const float>(value.data(), 1, 1, keys, 1), bhsd<float>(out.data(), 1, 1, rows, 1), {.scale = 1.0f});
    float error = 0;
    for (const float x : out) error = std::max(error, std::abs(x - 1));
    CHECK(error <= 1e-6f);
}

TEST_CASE("values that are all 1 come out as 1 within 1e-6 at any length, in prefill and in decode") {
    for (const std::int64_t keys : {97, 4096, 131'073, 1'000'001}) {
        for (const std::int64_t rows : {1, 4, 16, 64}) check_ones(keys, rows);
    }
    check_ones(131'073, 2048);  // so many rows that the keys are not cut into chunks
}

}  // namespace
}  // namespace headwise::test
