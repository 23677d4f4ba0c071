#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include "engine/runtime/parallel.hpp"

namespace headwise::test {
namespace {

const oneapi::tbb::global_control kEightThreads(oneapi::tbb::global_control::max_allowed_parallelism, 8);

/// Runs the loop and reports a fault: an item that did not run once, a worker out of range, or two items at once on one worker.
std::string fault_of_loop(int workers, std::int64_t items) {
    std::vector<std::atomic<int>> runs(static_cast<std::size_t>(items)), busy(static_cast<std::size_t>(workers));
    std::atomic<bool> worker_out_of_range = false, overlap = false;
    runtime::for_each_item(workers, items, [&](int worker, std::int64_t item) {
        if (worker < 0 || worker >= workers) {
            worker_out_of_range = true;
            return;
        }
        if (busy[static_cast<std::size_t>(worker)].exchange(1) != 0) overlap = true;
        runs[static_cast<std::size_t>(item)]++;
        busy[static_cast<std::size_t>(worker)] = 0;
    });
    if (worker_out_of_range) return "worker out of range";
    if (overlap) return "two items at once on one worker";
    for (const auto& count : runs)
        if (count != 1) return "an item ran " + std::to_string(count) + " times";
    return "";
}

TEST_CASE("each item runs once, and a worker is never in two items") {
    for (const int threads : {1, 2, 8}) {
        oneapi::tbb::task_arena arena(threads);
        arena.execute([&] {
            CHECK(runtime::available_workers() == threads);
            for (const int workers : {1, 2, 3, 8, 20})
                for (const std::int64_t items : {0, 1, 2, 7, 1000}) {
                    INFO("threads " << threads << " workers " << workers << " items " << items);
                    CHECK(fault_of_loop(workers, items) == "");
                }
        });
    }
}

TEST_CASE("an arena of the default size has the workers that a quota of processor time feeds, one of another size all of its own") {
    CHECK(runtime::available_workers(8, 8, 0) == 8);  // no quota
    CHECK(runtime::available_workers(8, 8, 1.5) == 2);
    CHECK(runtime::available_workers(8, 8, 0.01) == 1);
    CHECK(runtime::available_workers(8, 8, 100) == 8);
    CHECK(runtime::available_workers(6, 8, 1.5) == 6);
    CHECK(runtime::available_workers(16, 8, 1.5) == 16);
}

TEST_CASE("short work wakes nobody, long work all that there are") {
    for (const int threads : {1, 2, 8}) {
        oneapi::tbb::task_arena arena(threads);
        arena.execute([&] {
            for (const double microseconds : {0.0, 1.0, 39.0}) CHECK(runtime::workers_for(microseconds) == 1);
            CHECK(runtime::workers_for(50) == std::min(2, threads));
            for (const double microseconds : {1e4, 1e300}) CHECK(runtime::workers_for(microseconds) == threads);
        });
    }
}

TEST_CASE("with one worker the items run in order, on the calling thread") {
    std::vector<std::int64_t> order;
    const auto caller = std::this_thread::get_id();
    bool elsewhere = false;
    runtime::for_each_item(1, 50, [&](int, std::int64_t item) {
        order.push_back(item);
        elsewhere |= std::this_thread::get_id() != caller;
    });
    std::vector<std::int64_t> expected(50);
    std::iota(expected.begin(), expected.end(), 0);
    CHECK(order == expected);
    CHECK_FALSE(elsewhere);
}

TEST_CASE("loops within loops, and loops of several threads at once") {
    static std::atomic<int> faults = 0;  // captured by nobody: ThreadSanitizer does not see oneTBB hand a capture over
    runtime::for_each_item(4, 20, [](int, std::int64_t) { faults += fault_of_loop(4, 30) != ""; });
    oneapi::tbb::parallel_for(0, 20, [](int) { faults += fault_of_loop(3, 30) != ""; });
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([] { faults += fault_of_loop(4, 200) != ""; });
    for (std::thread& thread : threads) thread.join();
    CHECK(faults == 0);
}

TEST_CASE("what the items wrote is there when the loop returns") {
    for (int round = 0; round < 200; ++round) {
        std::vector<int> written(64, 0);
        runtime::for_each_item(4, 64, [&](int, std::int64_t item) { written[static_cast<std::size_t>(item)] = round + 1; });
        CHECK(std::all_of(written.begin(), written.end(), [&](int value) { return value == round + 1; }));
    }
}

}  // namespace
}  // namespace headwise::test
