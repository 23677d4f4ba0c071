#include "profile/analyze/attempts.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <vector>

using namespace headwise::tools;

namespace {

/// Measures what the attempts' runs lost to others, in turn; `repeats` tells which attempt a run is of.
struct Machine {
    std::vector<std::vector<double>> disturbances;
    int asked = 0;

    std::vector<ProfiledRun> operator()(int attempt) {
        CHECK(attempt == ++asked);
        std::vector<ProfiledRun> runs;
        for (const double disturbance : disturbances.at(static_cast<std::size_t>(attempt - 1))) {
            runs.emplace_back();
            runs.back().repeats = attempt;
            runs.back().disturbance = disturbance;
        }
        return runs;
    }
};

void check_kept(Machine machine, int attempts, int kept) {
    const std::vector<ProfiledRun> runs = least_disturbed(std::ref(machine));
    CHECK(machine.asked == attempts);
    REQUIRE(runs.size() == 2);
    for (const ProfiledRun& run : runs) {
        CHECK(run.attempts == attempts);
        CHECK(run.repeats == kept);
    }
}

}  // namespace

TEST_CASE("a case that nobody disturbed is measured once") {
    check_kept({{{0, 0}}}, 1, 1);
}

TEST_CASE("a case is measured again until no run is disturbed") {
    check_kept({{{0, 0.2}, {0, 0}}}, 2, 2);
    check_kept({{{0.1, 0.2}, {0.1, 0}, {0, 0}}}, 3, 3);
}

TEST_CASE("where others go on the least disturbed measurement is kept whole, and no one waits for long") {
    check_kept({{{0.3, 0.1}, {0, 0.2}, {0.2, 0.1}}}, kMostAttempts, 2);
    check_kept({{{0.1, 0}, {0, 0.2}, {0.1, 0}}}, kMostAttempts, 1);
}
