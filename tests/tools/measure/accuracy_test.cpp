#include "measure/accuracy.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <set>
#include <vector>

using namespace headwise::tools;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

TEST_CASE("not-a-number agrees with not-a-number alone, and an infinity with itself") {
    CHECK(absolute_difference(1, 1.5) == 0.5);
    CHECK(absolute_difference(kNan, kNan) == 0);
    CHECK(absolute_difference(kInfinity, kInfinity) == 0);
    CHECK(absolute_difference(kInfinity, -kInfinity) == kInfinity);
    CHECK(absolute_difference(kNan, 1) == kInfinity);
    CHECK(absolute_difference(1, kNan) == kInfinity);
    CHECK(absolute_difference(kNan, kInfinity) == kInfinity);
}

TEST_CASE("sampled rows are distinct, ascending, and have the first and the last among them") {
    for (const std::int64_t total : {1, 2, 3, 1000, 1 << 20}) {
        for (const double cost : {1.0, 1e5, 1e7, 1e12}) {
            const auto rows = sampled_rows(total, cost);
            CAPTURE(total);
            CAPTURE(cost);
            REQUIRE(!rows.empty());
            CHECK(rows.front() == 0);
            CHECK(rows.back() == total - 1);
            CHECK(std::set(rows.begin(), rows.end()).size() == rows.size());
            CHECK(std::is_sorted(rows.begin(), rows.end()));
        }
    }
    CHECK(sampled_rows(0, 1).empty());
    CHECK(sampled_rows(1000, 1e3).size() == 1000);
    CHECK(sampled_rows(1000, 1e8).size() == 10);
}

TEST_CASE("a record keeps the largest error of all rows") {
    AccuracyRecord record;
    const std::vector<float> engine{1, 2}, naive{1.5f, 2}, model{1, 2.25f};
    const std::vector<double> exact{1.125, -2};
    record.add(engine, naive, exact);
    record.add(naive, naive, std::vector<double>{1.5, 2});
    record.add_model(engine, naive, model);
    record.add_naive_time(3e9, 2);
    const Accuracy accuracy = record.result(10);
    CHECK(accuracy.engine_error == 4);
    CHECK(accuracy.naive_error == 4);
    CHECK(accuracy.largest == 2);
    CHECK(accuracy.naive_gflops == 1.5);
    CHECK(accuracy.rows == 2);
    CHECK(accuracy.total_rows == 10);
    CHECK(accuracy.engine_to_model == 0.25);
    CHECK(accuracy.naive_to_model == 0.5);
}
