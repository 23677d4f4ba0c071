#include <doctest/doctest.h>

#include "measure/roofline.hpp"
#include "profile/analyze/heads.hpp"
#include "profile/analyze/metrics.hpp"
#include "profile/analyze/workers.hpp"
#include "tests/tools/profile/synthetic_recording.hpp"

using namespace headwise;
using namespace headwise::tools;
using doctest::Approx;
using headwise::tools::test::SyntheticRecording;

namespace {

/// Three heads, of which the last is done in two blocks. Worker 1 wakes 10 us late; 5 us before and 5 us behind the loop.
///   worker 0: head 0 [0, 40], head 2 [40, 70]
///   worker 1: head 1 [10, 50], head 2 [50, 60]
Recording two_workers() {
    return SyntheticRecording(2, 80)
        .loop(0, 70)
        .task(0, 0, 40, {.head = 0})
        .task(1, 10, 50, {.head = 1})
        .task(0, 40, 70, {.head = 2, .row_block = 1})
        .task(1, 50, 60, {.head = 2, .row_block = 0});
}

Recording one_worker() {
    return SyntheticRecording(1, 116)
        .loop(0, 110)
        .task(0, 0, 36, {.head = 0})
        .task(0, 36, 72, {.head = 1})
        .task(0, 72, 99, {.head = 2, .row_block = 1})
        .task(0, 99, 108, {.head = 2, .row_block = 0});
}

}  // namespace

TEST_CASE("a worker's time is busy, waking up, tail and what lies outside of loops") {
    const auto workers = worker_shares(two_workers());
    REQUIRE(workers.size() == 2);
    CHECK(workers[0].busy == Approx(70e-6));
    CHECK(workers[0].idle == Approx(10e-6));
    CHECK(workers[0].wake_up == Approx(0));
    CHECK(workers[0].tail == Approx(0));
    CHECK(workers[0].heads == 2);
    CHECK(workers[1].busy == Approx(50e-6));
    CHECK(workers[1].idle == Approx(30e-6));
    CHECK(workers[1].wake_up == Approx(10e-6));
    CHECK(workers[1].tail == Approx(10e-6));
    CHECK(workers[1].tasks == 2);
}

TEST_CASE("a worker that comes too late for any task of a loop waits for all of it") {
    const auto workers =
        worker_shares(SyntheticRecording(2, 30).loop(0, 10).task(0, 0, 10, {}).loop(10, 30, "matmul", 1).task(0, 10, 30, {}));
    CHECK(workers[1].wake_up == Approx(10e-6));  // the second loop has one lane alone
    CHECK(workers[1].tail == Approx(0));
    CHECK(workers[1].idle == Approx(30e-6));
}

TEST_CASE("a head's time is that of its tasks on all workers") {
    const auto heads = head_shares(two_workers());
    REQUIRE(heads.size() == 3);
    for (const HeadShare& head : heads) {
        CHECK(head.seconds == Approx(40e-6));
        CHECK(head.share == Approx(1.0 / 3));
        CHECK(head.ratio_to_median == Approx(1));
        CHECK(head.gflops() == Approx(1));
    }
    CHECK(heads[0].workers == std::vector<int>{0});
    CHECK(heads[2].workers == std::vector<int>{0, 1});
}

TEST_CASE("products have no heads where attention has: their tasks count for workers alone") {
    const Recording layer = SyntheticRecording(1, 100)
                                .loop(0, 60, "matmul")
                                .task(0, 0, 60, {})
                                .loop(60, 100)
                                .task(0, 60, 70, {.head = 0})
                                .task(0, 70, 100, {.head = 4, .batch = 1});
    const auto heads = head_shares(layer);
    REQUIRE(heads.size() == 2);
    CHECK(heads[0].share == Approx(0.1));
    CHECK(heads[1].batch == 1);
    CHECK(heads[1].share == Approx(0.3));
    CHECK(heads[1].ratio_to_median == Approx(1.5));
    CHECK(worker_shares(layer)[0].busy == Approx(100e-6));
    CHECK(worker_shares(layer)[0].heads == 2);
    const auto product = head_shares(SyntheticRecording(1, 60).loop(0, 60, "matmul").task(0, 0, 60, {.batch = 3}));
    REQUIRE(product.size() == 1);
    CHECK(product[0].batch == 3);
}

TEST_CASE("heads' times add up to the workers' busy times") {
    double of_heads = 0, of_workers = 0;
    for (const HeadShare& head : head_shares(two_workers())) of_heads += head.seconds;
    for (const WorkerShare& worker : worker_shares(two_workers())) of_workers += worker.busy;
    CHECK(of_heads == Approx(of_workers));
    CHECK(of_workers == Approx(busy_seconds(two_workers())));
}

TEST_CASE("the efficiencies are those worked out by hand") {
    // Drawn at once: worker 0 has head 0 [0, 40] and 30 us of head 2 [40, 70]; worker 1 head 1 [0, 40], 10 us of head 2 [40, 50].
    // 10 us lie outside of the loop.
    CHECK(ideal_seconds(two_workers()) == Approx(80e-6));
    const Metrics m = metrics(two_workers(), one_worker());
    CHECK(m.load_balance == Approx(60.0 / 70));
    CHECK(m.serialization_efficiency == Approx(70.0 / 80));
    CHECK(m.transfer_efficiency == Approx(80.0 / 80));
    CHECK(m.communication_efficiency == Approx(70.0 / 80));
    CHECK(m.parallel_efficiency == Approx(60.0 / 80));
    CHECK(m.computation_scaling == Approx(108.0 / 120));
    CHECK(m.global_efficiency == Approx(0.75 * 0.9));
    CHECK(m.speedup == Approx(116.0 / 80));
    REQUIRE(m.karp_flatt);
    CHECK(*m.karp_flatt == Approx((80.0 / 116 - 0.5) / 0.5));
    CHECK(!m.ipc_scaling);
}

TEST_CASE("late waking is a loss of transfer, where the order of drawing stays the same") {
    // The loop takes 50 us where 40 would do.
    const Recording late = SyntheticRecording(2, 50).loop(0, 50).task(0, 0, 40, {.head = 0}).task(1, 10, 50, {.head = 1});
    const Metrics m = metrics(late, late);
    CHECK(m.load_balance == Approx(1));
    CHECK(m.serialization_efficiency == Approx(1));
    CHECK(m.transfer_efficiency == Approx(0.8));
}

TEST_CASE("a worker that the others had to stand in for costs load balance, and no efficiency is above 1") {
    // Worker 1 is held up and comes for the last task alone. Shared out anew the first loop would take 50 us, worker 0 had 90.
    const Recording held_up = SyntheticRecording(2, 130)
                                  .loop(0, 95)
                                  .task(0, 0, 30, {.head = 0})
                                  .task(0, 30, 60, {.head = 1})
                                  .task(0, 60, 90, {.head = 2})
                                  .task(1, 85, 95, {.head = 3})
                                  .loop(95, 125, "matmul")
                                  .task(0, 95, 105, {})
                                  .task(1, 95, 125, {});
    CHECK(ideal_seconds(held_up) == Approx(125e-6));  // 90, 30 and 5 outside of the loops
    const Metrics m = metrics(held_up, held_up);
    CHECK(m.load_balance == Approx(70.0 / 100));
    CHECK(m.serialization_efficiency == Approx(100.0 / 125));
    CHECK(m.transfer_efficiency == Approx(125.0 / 130));
    CHECK(m.communication_efficiency == Approx(100.0 / 130));

    const Metrics alone = metrics(SyntheticRecording(2, 70).loop(0, 70).task(0, 0, 30, {}).task(0, 30, 60, {}).task(1, 60, 70, {}),
                                  SyntheticRecording(1, 70).loop(0, 70).task(0, 0, 70, {}));
    CHECK(alone.serialization_efficiency == Approx(1));  // and not 60 / 40
    CHECK(alone.transfer_efficiency == Approx(60.0 / 70));
    CHECK(alone.load_balance == Approx(35.0 / 60));
}

TEST_CASE("one thread is its own reference") {
    const Metrics m = metrics(one_worker(), one_worker());
    CHECK(m.load_balance == Approx(1));
    CHECK(m.speedup == Approx(1));
    CHECK(m.computation_scaling == Approx(1));
    CHECK(m.parallel_efficiency == Approx(108.0 / 116));
    CHECK(!m.karp_flatt);
}

TEST_CASE("loops follow each other: what one worker waits for in the first is not made good in the second") {
    const Recording layer = SyntheticRecording(2, 40)
                                .loop(0, 20, "matmul")
                                .task(0, 0, 20, {})
                                .task(1, 0, 10, {})
                                .loop(20, 40)
                                .task(0, 20, 30, {.head = 0})
                                .task(1, 20, 40, {.head = 1});
    const Metrics m = metrics(layer, layer);
    CHECK(m.load_balance == Approx(1));  // 30 us each
    CHECK(m.serialization_efficiency == Approx(30.0 / 40));
    CHECK(m.transfer_efficiency == Approx(1));
}

TEST_CASE("counters split computation scaling into instructions a cycle and the clock") {
    Recording all = two_workers(), one = one_worker();
    one.counters = CounterValues{.instructions = 3000, .cycles = 1000, .nanoseconds = 250};
    all.counters = CounterValues{.instructions = 3000, .cycles = 1200, .nanoseconds = 400};
    const Metrics m = metrics(all, one);
    REQUIRE((m.ipc_scaling && m.frequency_scaling));
    CHECK(*m.ipc_scaling == Approx(2.5 / 3));
    CHECK(*m.frequency_scaling == Approx(3.0 / 4));
}

TEST_CASE("counters can be read, or it is said why not") {
    ThreadCounters counters;
    counters.start();
    double sum = 0;
    for (int i = 1; i < 100000; ++i) sum += 1 / static_cast<double>(i);
    CHECK(sum > 0);
    const auto values = counters.stop();
    if (values) {
        CHECK(values->instructions > 1000);
        CHECK(values->cycles > 1000);
    } else {
        CHECK(!counters.reason().empty());
    }
}

TEST_CASE("the lower roof at a case's intensity bounds it") {
    const Roofline compute = roofline(1e9, 1e7, 0.02, 100, 30);
    CHECK(compute.intensity == Approx(100));
    CHECK(compute.gflops == Approx(50));
    CHECK(!compute.by_bandwidth);
    CHECK(compute.roof_gflops() == Approx(100));
    const Roofline memory = roofline(1e7, 1e7, 0.0005, 100, 30);
    CHECK(memory.by_bandwidth);
    CHECK(memory.roof_gflops() == Approx(30));
    CHECK(memory.read_rate() == Approx(20));
}
