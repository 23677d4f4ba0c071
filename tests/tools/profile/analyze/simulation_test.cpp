#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "profile/analyze/simulate.hpp"
#include "profile/analyze/what_if.hpp"
#include "tests/tools/profile/synthetic_recording.hpp"

using namespace headwise;
using namespace headwise::tools;
using doctest::Approx;
using headwise::tools::test::SyntheticRecording;

namespace {

std::vector<SimulatedTask> tasks_of(const std::vector<double>& seconds, double bytes_per_second = 0) {
    std::vector<SimulatedTask> tasks;
    for (const double s : seconds) tasks.push_back({s, bytes_per_second});
    return tasks;
}

/// Deterministic, in (0, 1].
std::vector<double> uneven(std::size_t count) {
    std::vector<double> values;
    std::uint32_t state = 12345;
    for (std::size_t i = 0; i < count; ++i) {
        state = state * 1664525 + 1013904223;
        values.push_back((1 + static_cast<double>(state >> 8)) / (1 << 24));
    }
    return values;
}

/// Heads of `blocks` blocks, each of one microsecond, on one thread.
OneThreadCosts heads_of_blocks(int heads, int blocks) {
    SyntheticRecording recording(1, heads * blocks);
    recording.loop(0, heads * blocks);
    for (int i = 0; i < heads * blocks; ++i) recording.task(0, i, i + 1, {.head = i / blocks, .row_block = i % blocks});
    return one_thread_costs(recording);
}

}  // namespace

TEST_CASE("one worker takes the sum of all tasks") {
    const auto seconds = uneven(100);
    CHECK(simulate(tasks_of(seconds), 1) == Approx(std::accumulate(seconds.begin(), seconds.end(), 0.0)));
    CHECK(simulate({}, 1) == 0);
    CHECK(simulate({}, 8) == 0);
}

TEST_CASE("no number of workers is faster than the longest task or its share of the sum, nor slower than Graham's bound") {
    const auto seconds = uneven(200);
    const double longest = *std::ranges::max_element(seconds), sum = std::accumulate(seconds.begin(), seconds.end(), 0.0);
    for (const int workers : {1, 2, 3, 7, 16, 64, 199, 200, 256}) {
        CAPTURE(workers);
        const double least = std::max(longest, sum / workers), took = simulate(tasks_of(seconds), workers);
        CHECK(took >= least * (1 - 1e-12));
        CHECK(took <= sum / workers + (1 - 1.0 / workers) * longest + 1e-12);
    }
    CHECK(simulate(tasks_of(seconds), 256) == Approx(longest));
}

TEST_CASE("equal tasks take as many rounds as they fill, never more with more workers") {
    const std::vector<double> seconds(12, 2.0);
    double before = 1e9;
    for (int workers = 1; workers <= 16; ++workers) {
        const double took = simulate(tasks_of(seconds), workers);
        CHECK(took == Approx(2.0 * ((12 + workers - 1) / workers)));
        CHECK(took <= before);
        before = took;
    }
}

TEST_CASE("the next free worker draws the next task in order") {
    // 0: 3, then 1; 1: 1, then 4
    CHECK(simulate(tasks_of({3, 1, 4, 1}), 2) == Approx(5));
    CHECK(simulate(tasks_of({4, 3, 1, 1}), 2) == Approx(5));
}

TEST_CASE("memory stretches tasks as queueing theory says") {
    CHECK(memory_stretch(1, 0.7) == Approx(1));
    CHECK(memory_stretch(8, 0) == Approx(1));
    CHECK(memory_stretch(8, 1) == Approx(8));  // nothing but memory: one after the other
    // Two tasks, half of each at memory: a new one finds 0.5 waiting, so 0.5 + 0.5 * 1.5.
    CHECK(memory_stretch(2, 0.5) == Approx(1.25));
    for (const double busy : {0.1, 0.3, 0.9}) {
        CHECK(memory_stretch(256, busy) == Approx(256 * busy).epsilon(0.03));  // the memory is never idle
        for (int tasks = 1; tasks < 32; ++tasks) {
            CHECK(memory_stretch(tasks, busy) >= std::max(1.0, tasks * busy) - 1e-12);  // no more than the memory gives
            CHECK((tasks + 1) / memory_stretch(tasks + 1, busy) >= tasks / memory_stretch(tasks, busy) - 1e-12);
        }
    }
}

TEST_CASE("tasks that run at once share the bandwidth") {
    const auto tasks = tasks_of(std::vector<double>(8, 1.0), 10);
    CHECK(simulate(tasks, 1, 20) == Approx(8));
    CHECK(simulate(tasks, 2, 20) == Approx(4 * 1.25));
    CHECK(simulate(tasks, 8, 1e9) == Approx(1));
    CHECK(simulate(tasks, 8, 10) == Approx(8));
    // The memory is all that counts: two beside each other at half their speed until the shorter one ends at 2; then the other has
    // all.
    CHECK(simulate(std::vector<SimulatedTask>{{1, 10}, {3, 10}}, 2, 10) == Approx(4));
}

TEST_CASE("heads alone fill as many workers as there are heads; blocks of their rows fill more") {
    const OneThreadCosts costs = heads_of_blocks(3, 8);
    CHECK(predicted_seconds(costs, 1, AttentionSchedule::heads) == Approx(24e-6));
    CHECK(predicted_seconds(costs, 2, AttentionSchedule::heads) == Approx(16e-6));
    CHECK(predicted_seconds(costs, 64, AttentionSchedule::heads) == Approx(8e-6));
    CHECK(predicted_seconds(costs, 2, AttentionSchedule::heads_queries) == Approx(12e-6));
    CHECK(predicted_seconds(costs, 12, AttentionSchedule::heads_queries) == Approx(2e-6));
    CHECK(predicted_seconds(costs, 64, AttentionSchedule::heads_queries) == Approx(1e-6));
    CHECK(filled_share(costs, 2, AttentionSchedule::heads) == Approx(0.75));
    CHECK(filled_share(costs, 2, AttentionSchedule::heads_queries) == Approx(1));
}

TEST_CASE("with few blocks for each worker their keys are cut") {
    OneThreadCosts costs = heads_of_blocks(4, 1);
    costs.key_chunks = 4;
    costs.divide = [](int workers) { return AttentionDivision{.workers = workers, .keys_split = workers > 1}; };
    CHECK(predicted_seconds(costs, 1, AttentionSchedule::automatic) == Approx(4e-6));
    CHECK(predicted_seconds(costs, 8, AttentionSchedule::heads_queries) == Approx(1e-6));
    CHECK(predicted_seconds(costs, 8, AttentionSchedule::automatic) == Approx(0.5e-6));
    CHECK(predicted_seconds(costs, 16, AttentionSchedule::automatic) == Approx(0.25e-6));
    CHECK(predicted_seconds(costs, 256, AttentionSchedule::automatic) == Approx(0.25e-6));
}

TEST_CASE("small work wakes no more workers than it is worth, and what is serial stays so") {
    OneThreadCosts costs = heads_of_blocks(16, 1);
    costs.divide = [](int workers) { return AttentionDivision{.workers = std::min(workers, 2)}; };
    costs.serial_seconds = 1e-6;
    for (const int workers : {2, 8, 256}) CHECK(predicted_seconds(costs, workers, AttentionSchedule::heads) == Approx(9e-6));
}

TEST_CASE("a product is cut anew for each number of workers") {
    const Recording product = SyntheticRecording(1, 100).loop(0, 100, "matmul").task(0, 0, 100, {}, 2.0 * (1 << 23));
    const OneThreadCosts costs = one_thread_costs(product);
    CHECK(predicted_seconds(costs, 4, AttentionSchedule::automatic) == Approx(25e-6));
    CHECK(predicted_seconds(costs, 256, AttentionSchedule::automatic) == Approx(12.5e-6));  // worth 8 workers
    for (const WhatIf& entry : what_if(costs, {})) CHECK(entry.schedule == AttentionSchedule::automatic);
}

TEST_CASE("a task alone has all the bandwidth that it was measured with") {
    OneThreadCosts costs = heads_of_blocks(8, 1);  // each reads 10 bytes in 1 us
    costs.bandwidth = 8e6;                         // measured lower than what the thread drew
    CHECK(predicted_seconds(costs, 1, AttentionSchedule::heads) == Approx(8e-6));
    CHECK(predicted_seconds(costs, 8, AttentionSchedule::heads) == Approx(8e-6));
    costs.bandwidth = 20e6;
    CHECK(predicted_seconds(costs, 1, AttentionSchedule::heads) == Approx(8e-6));
    CHECK(predicted_seconds(costs, 2, AttentionSchedule::heads) == Approx(5e-6));
}

TEST_CASE("the table has 1 to 256 workers, the number of heads and what else was asked for, in each schedule") {
    const auto table = what_if(heads_of_blocks(5, 2), std::vector<int>{7});
    CHECK(table.size() == 3 * 18);
    for (const int workers : {1, 2, 3, 4, 5, 6, 7, 8, 192, 256}) CHECK(std::ranges::count(table, workers, &WhatIf::workers) == 3);
    for (const WhatIf& entry : table) {
        CHECK(entry.parallel_efficiency <= 1 + 1e-12);
        if (entry.workers == 1) CHECK(entry.parallel_efficiency == Approx(1));
    }
}
