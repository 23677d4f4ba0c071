#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "profile/analyze/diagnosis.hpp"
#include "tests/tools/profile/synthetic_recording.hpp"

using namespace headwise;
using namespace headwise::tools;
using doctest::Approx;
using headwise::tools::test::SyntheticRecording;

namespace {

constexpr double kFmaGflops = 100, kReadGigabytes = 30;

ProfiledRun profiled(const Recording& recording, const Recording& one_thread, double intensity = 100, double gflops = 80) {
    const double flops = gflops * 1e9 * recording.seconds;
    return {.name = "synthetic",
            .operation = "attention",
            .recording = recording,
            .workers = worker_shares(recording),
            .heads = head_shares(recording),
            .metrics = metrics(recording, one_thread),
            .roofline = roofline(flops, flops / intensity, recording.seconds, kFmaGflops, kReadGigabytes),
            .what_if = {},
            .diagnosis = {}};
}

Diagnosis diagnosed(const Recording& recording, const Recording& one_thread) {
    return diagnosis(profiled(recording, one_thread), one_thread, one_thread_costs(one_thread));
}
std::vector<std::string> diagnose(const Recording& recording, const Recording& one_thread) {
    return diagnosed(recording, one_thread).lines;
}

/// Each cause says this, and nothing else does.
bool says(const std::vector<std::string>& lines, const std::string& words) {
    return std::ranges::any_of(lines, [&](const std::string& line) { return line.find(words) != std::string::npos; });
}

constexpr const char* kCauses[] = {"interrupted: ",
                                   "heads alone",
                                   "median head's time",
                                   "as long for the same work",
                                   "waking up takes",
                                   "tail: ",
                                   "outside parallel loops: ",
                                   "too little work",
                                   "the same tasks",
                                   "bound by bandwidth"};

void check_only(const std::vector<std::string>& lines, const std::vector<std::string>& expected) {
    for (const char* cause : kCauses) {
        CAPTURE(cause);
        CHECK(says(lines, cause) == (std::ranges::find(expected, cause) != expected.end()));
    }
}

/// `heads` heads of `blocks` blocks of 10 us on one thread.
Recording alone(int heads, int blocks) {
    const int tasks = heads * blocks;
    SyntheticRecording recording(1, 10 * tasks);
    recording.loop(0, 10 * tasks);
    for (int i = 0; i < tasks; ++i) recording.task(0, 10 * i, 10 * (i + 1), {.head = i / blocks, .row_block = i % blocks});
    return recording;
}

/// The same tasks dealt to workers in turn, each `slowdown` times as long there.
Recording dealt(int heads, int blocks, int workers, double slowdown = 1) {
    const int tasks = heads * blocks;
    const double length = 10 * slowdown, end = length * ((tasks + workers - 1) / workers);
    SyntheticRecording recording(workers, end);
    recording.loop(0, end);
    for (int i = 0; i < tasks; ++i)
        recording.task(i % workers, length * (i / workers), length * (i / workers + 1),
                       {.head = i / blocks, .row_block = i % blocks}, 10000);
    return recording;
}

}  // namespace

TEST_CASE("a balanced run has no cause of loss") {
    for (const int workers : {2, 4}) {
        const auto lines = diagnose(dealt(4, 6, workers), alone(4, 6));
        check_only(lines, {});
        REQUIRE(lines.size() == 1);
        CHECK(lines[0].find("balanced") == 0);
    }
    CHECK(diagnose(alone(4, 6), alone(4, 6)).empty());
}

TEST_CASE("heads that do not divide by the workers: heads alone against heads and queries") {
    const auto lines = diagnose(dealt(3, 8, 2), alone(3, 8));
    check_only(lines, {"heads alone"});
    CHECK(lines[0] == "3 heads on 2 workers: heads alone can reach at most 75 %; heads x 8 query blocks reach 100 %");
}

TEST_CASE("few heads with one block each: their keys can be cut") {
    OneThreadCosts costs = one_thread_costs(alone(3, 1));
    costs.key_chunks = 8;
    costs.divide = [](int workers) { return AttentionDivision{.workers = workers, .keys_split = true}; };
    const Recording run = SyntheticRecording(2, 15).loop(0, 15).task(0, 0, 15, {.head = 0}).task(1, 0, 15, {.head = 1});
    const auto lines = diagnosis(profiled(run, alone(3, 1)), alone(3, 1), costs).lines;
    CHECK(says(lines, "2 heads on 2 workers: heads alone can reach at most 75 %; with each block's keys in 8 parts 100 %"));
}

TEST_CASE("one head with more keys leaves workers idle") {
    const Recording one = SyntheticRecording(1, 70)
                              .loop(0, 70)
                              .task(0, 0, 10, {.head = 0})
                              .task(0, 10, 20, {.head = 1})
                              .task(0, 20, 30, {.head = 0, .batch = 1})
                              .task(0, 30, 70, {.head = 1, .batch = 1});
    const Recording two = SyntheticRecording(2, 50)
                              .loop(0, 50)
                              .task(0, 0, 10, {.head = 0})
                              .task(1, 0, 10, {.head = 1})
                              .task(0, 10, 20, {.head = 0, .batch = 1})
                              .task(1, 10, 50, {.head = 1, .batch = 1});
    const auto lines = diagnose(two, one);
    check_only(lines, {"median head's time", "tail: "});
    CHECK(says(lines, "head 1 of batch 1 takes 4.0x the median head's time: it has 4.0x the work"));
    CHECK(says(lines, "tail: 30 % of worker time is after each worker's last task: worker 0 is idle for 30.0 us"));
    CHECK(says(lines, "the largest loss is the tail"));
}

TEST_CASE("a head that takes longer for the same work is not said to have more keys") {
    const Recording two = SyntheticRecording(2, 40)
                              .loop(0, 40)
                              .task(0, 0, 10, {.head = 0}, 10000)
                              .task(1, 0, 40, {.head = 1}, 10000)
                              .task(0, 10, 20, {.head = 2}, 10000);
    CHECK(!says(diagnose(two, alone(3, 1)), "median head's time"));
}

TEST_CASE("a worker that another program slows down") {
    SyntheticRecording slow(2, 96);
    slow.loop(0, 96);
    for (int i = 0; i < 9; ++i) slow.task(0, 10 * i, 10 * (i + 1), {.head = i}, 10000);
    for (int i = 0; i < 6; ++i) slow.task(1, 16 * i, 16 * (i + 1), {.head = 9 + i}, 10000);
    const auto lines = diagnose(slow, alone(15, 1));
    CHECK(says(lines, "worker 1 needs 1.6x as long for the same work as worker 0: another program shares its core"));
    CHECK(!says(diagnose(dealt(15, 1, 2), alone(15, 1)), "as long for the same work"));
    // Of 2 x 96 us worker 1 was busy for 96, of which 60 would have done.
    CHECK(diagnosed(slow, alone(15, 1)).disturbance == Approx(36.0 / 192));
    CHECK(diagnosed(dealt(15, 1, 2), alone(15, 1)).disturbance == 0);
}

TEST_CASE("one slow task of many does not make a slow worker") {
    SyntheticRecording run(2, 80);
    run.loop(0, 80);
    for (int i = 0; i < 8; ++i) run.task(0, 10 * i, 10 * (i + 1), {.head = i}, 10000);
    run.task(1, 0, 40, {.head = 8}, 10000);
    for (int i = 0; i < 4; ++i) run.task(1, 40 + 10 * i, 50 + 10 * i, {.head = 9 + i}, 10000);
    const auto lines = diagnose(run, alone(13, 1));
    CHECK(!says(lines, "as long for the same work"));
    CHECK(says(lines, "interrupted: 1 task takes 4.0x as long as usual, 19 % of worker time"));
    CHECK(diagnosed(run, alone(13, 1)).disturbance == Approx(30.0 / 160));
}

TEST_CASE("work that has another rate on one thread as well is neither slow nor interrupted") {
    // Blocks along the diagonal, half of whose products are masked, on worker 1.
    SyntheticRecording one(1, 120), two(2, 60);
    one.loop(0, 120);
    two.loop(0, 60);
    for (int i = 0; i < 12; ++i) {
        const double flops = i < 6 ? 10000 : 4000;
        one.task(0, 10 * i, 10 * (i + 1), {.head = 0, .row_block = i}, flops);
        two.task(i / 6, 10 * (i % 6), 10 * (i % 6 + 1), {.head = 0, .row_block = i}, flops);
    }
    CHECK(!says(diagnose(two, one), "as long for the same work"));
    CHECK(!says(diagnose(two, one), "interrupted"));

    // The same as whole heads.
    const Recording whole = SyntheticRecording(2, 120).loop(0, 120).task(1, 0, 120, {.head = 0}, 84000);
    CHECK(!says(diagnose(whole, one), "interrupted"));
}

TEST_CASE("a worker that wakes late") {
    SyntheticRecording run(2, 60);
    run.loop(0, 60);
    for (int i = 0; i < 6; ++i) run.task(0, 10 * i, 10 * (i + 1), {.head = i});
    for (int i = 0; i < 4; ++i) run.task(1, 20 + 10 * i, 30 + 10 * i, {.head = 6 + i});
    const auto lines = diagnose(run, alone(10, 1));
    check_only(lines, {"waking up takes"});
    CHECK(says(lines, "waking up takes 17 % of worker time: worker 1 waits 20.0 us for its first task in a call of 60.0 us"));
    CHECK(says(lines, "the largest loss is waking up"));
    CHECK(diagnosed(run, alone(10, 1)).disturbance == 0);  // 20 us are what waking takes
}

TEST_CASE("a worker whose core is held while it should wake was disturbed") {
    SyntheticRecording run(2, 600);
    run.loop(0, 600);
    for (int i = 0; i < 6; ++i) run.task(0, 100 * i, 100 * (i + 1), {.head = i}, 10000);
    for (int i = 0; i < 3; ++i) run.task(1, 300 + 100 * i, 400 + 100 * i, {.head = 6 + i}, 10000);
    SyntheticRecording one(1, 900);
    one.loop(0, 900);
    for (int i = 0; i < 9; ++i) one.task(0, 100 * i, 100 * (i + 1), {.head = i}, 10000);
    CHECK(says(diagnose(run, one), "such a long wait means another program has its core"));
    CHECK(diagnosed(run, one).disturbance == Approx(300.0 / 1200));
}

TEST_CASE("losses of the schedule's own are no disturbance") {
    const Recording tail =
        SyntheticRecording(2, 20).loop(0, 20).task(0, 0, 10, {.head = 0}).task(1, 0, 10, {.head = 1}).task(0, 10, 20, {.head = 2});
    CHECK(says(diagnose(tail, alone(3, 1)), "tail: "));
    CHECK(diagnosed(tail, alone(3, 1)).disturbance == 0);
    CHECK(says(diagnose(dealt(4, 4, 2, 1.5), alone(4, 4)), "the same tasks"));
    CHECK(diagnosed(dealt(4, 4, 2, 1.5), alone(4, 4)).disturbance == 0);
}

TEST_CASE("time outside of the loops, and threads that get no work") {
    const Recording one = SyntheticRecording(1, 50).loop(0, 40).task(0, 0, 20, {.head = 0}).task(0, 20, 40, {.head = 1});
    const Recording serial = SyntheticRecording(2, 30).loop(0, 20).task(0, 0, 20, {.head = 0}).task(1, 0, 20, {.head = 1});
    auto lines = diagnose(serial, one);
    check_only(lines, {"outside parallel loops: "});
    CHECK(says(lines, "33 % of the call is outside parallel loops: 10.0 us"));

    const Recording unused =
        SyntheticRecording(2, 40).loop(0, 40, "attention", 1).task(0, 0, 20, {.head = 0}).task(0, 20, 40, {.head = 1});
    lines = diagnose(unused, one);
    check_only(lines, {"too little work"});
    CHECK(says(lines, "too little work for 2 threads: 1 used, because"));
    CHECK(says(lines, "the largest loss is threads without work: 50 %"));
}

TEST_CASE("tasks that take longer beside others, with what the counters say") {
    const auto lines = diagnose(dealt(4, 4, 2, 1.5), alone(4, 4));
    check_only(lines, {"the same tasks"});
    CHECK(says(lines, "the same tasks take 1.50x as long on 2 threads as on one"));

    Recording run = dealt(4, 4, 2, 1.5), one = alone(4, 4);
    one.counters = CounterValues{.instructions = 200, .cycles = 100, .nanoseconds = 25};
    run.counters = CounterValues{.instructions = 200, .cycles = 100, .nanoseconds = 50};
    CHECK(says(diagnose(run, one), "instructions a cycle are 1.00x, the clock is 0.50x that of one thread"));
}

TEST_CASE("a call that reads as fast as memory gives is bound by bandwidth") {
    const Recording one = alone(8, 1), run = dealt(8, 1, 2);
    const auto at_roof = [&](double gflops) { return diagnosis(profiled(run, one, 1, gflops), one, one_thread_costs(one)).lines; };
    check_only(at_roof(28), {"bound by bandwidth"});
    CHECK(says(at_roof(28), "reads 28.0 of 30.0 GB/s at 1 FLOPs a byte"));
    check_only(at_roof(10), {});  // far below the roof: something else is in the way
}

TEST_CASE("losses and busy time add up to all worker time") {
    const Recording run = SyntheticRecording(3, 100)
                              .loop(0, 60)
                              .task(0, 0, 50, {.head = 0})
                              .task(1, 10, 60, {.head = 1})
                              .loop(60, 90, "matmul", 2)
                              .task(0, 60, 80, {})
                              .task(1, 65, 70, {})
                              .task(1, 75, 80, {});
    const ProfiledRun profiled_run = profiled(run, run);
    const Losses lost = losses(profiled_run, run);
    CHECK(lost.wake_up == Approx((10.0 + 60 + 5) / 300));
    CHECK(lost.tail == Approx((10.0 + 10 + 10) / 300));
    CHECK(lost.drawing == Approx(5.0 / 300));
    CHECK(lost.serial == Approx(0.1));
    CHECK(lost.unused == Approx(30.0 / 300));
    CHECK(lost.slower == Approx(0));
    const double busy = busy_seconds(run) / run.seconds / run.threads;
    CHECK(lost.wake_up + lost.tail + lost.drawing + lost.serial + lost.unused + busy == Approx(1));
}
