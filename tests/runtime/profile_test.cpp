// What a profile holds of the loops that ran under it, at the level of these loops.
#include "headwise/profile.hpp"

#include <doctest/doctest.h>
#include <oneapi/tbb/task_arena.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "engine/runtime/parallel.hpp"
#include "tests/support/error_message.hpp"

namespace headwise::test {
namespace {

std::atomic<std::int64_t> described = 0;

runtime::TaskLabel label_of(std::int64_t item) {
    ++described;
    const auto i = static_cast<double>(item);
    return {.batch = item,
            .head = item + 1,
            .heads = item + 2,
            .row_block = item + 3,
            .column_block = item + 4,
            .kernel = "test",
            .flops = i + 5,
            .bytes = i + 6};
}
constexpr auto kLabel = [](std::int64_t item) { return label_of(item); };
constexpr auto kNothing = [](int, std::int64_t) {};

/// A loop whose items do nothing.
void run_loop(int workers, std::int64_t items, const char* operation = "loop") {
    runtime::for_each_item(workers, items, kNothing, operation, kLabel);
}

std::int64_t count_tasks(const Profile& profile) {
    std::int64_t count = 0;
    for (int worker = 0; worker < profile.workers(); ++worker) count += std::ssize(profile.tasks(worker));
    return count;
}

bool has_label(const TaskRecord& task) {
    const auto item = static_cast<double>(task.batch);
    return task.head == task.batch + 1 && task.heads == task.batch + 2 && task.row_block == task.batch + 3 &&
           task.column_block == task.batch + 4 && task.kernel == std::string("test") && task.flops == item + 5 &&
           task.bytes == item + 6;
}

/// What is wrong with a profile of one loop.
std::string fault_of(const Profile& profile, int workers, std::int64_t items) {
    if (profile.runs().size() != 1) return std::to_string(profile.runs().size()) + " runs";
    const RunRecord& run = profile.runs()[0];
    if (run.operation != std::string("loop")) return "another operation";
    if (run.workers != std::min<std::int64_t>(workers, items) || run.tasks != items) return "another number of workers or tasks";
    std::vector<int> seen(static_cast<std::size_t>(items));
    for (int worker = 0; worker < profile.workers(); ++worker) {
        std::int64_t end = run.start_ns;
        bool first = true;
        for (const TaskRecord& task : profile.tasks(worker)) {
            if (task.run != 0 || task.worker != worker || !has_label(task)) return "a task says what it is not";
            if (task.end_ns < task.start_ns) return "a task ends before it starts";
            if (first ? task.start_ns < end : task.start_ns != end) return "a task does not start where the one before ended";
            if (task.end_ns > run.end_ns) return "a task ends after its run";
            end = task.end_ns;
            first = false;
            ++seen[static_cast<std::size_t>(task.batch)];
        }
    }
    for (const int count : seen)
        if (count != 1) return "an item was recorded " + std::to_string(count) + " times";
    return profile.dropped() == 0 ? "" : "something was dropped";
}

TEST_CASE("each task is recorded once, within its run, and those of a lane one behind the other") {
    for (const int threads : {1, 2, 8}) {
        oneapi::tbb::task_arena arena(threads);
        arena.execute([&] {
            for (const int workers : {1, 2, 8})
                for (const std::int64_t items : {1, 7, 1000}) {
                    INFO("threads " << threads << " workers " << workers << " items " << items);
                    Profile profile({.workers = 8});
                    {
                        const ProfileScope scope(profile);
                        run_loop(workers, items);
                    }
                    CHECK(fault_of(profile, workers, items) == "");
                }
        });
    }
}

TEST_CASE("a task takes as long as its work, and the time between loops belongs to none") {
    constexpr std::int64_t kMillisecond = 1'000'000;
    const auto sleep = [](int, std::int64_t) { std::this_thread::sleep_for(std::chrono::milliseconds(2)); };
    Profile profile({.workers = 1});
    const ProfileScope scope(profile);
    for (int loop = 0; loop < 2; ++loop) {
        runtime::for_each_item(1, 3, sleep, "loop", kLabel);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    REQUIRE(profile.tasks(0).size() == 6);
    for (const TaskRecord& task : profile.tasks(0)) CHECK(task.end_ns - task.start_ns >= 2 * kMillisecond);
    const RunRecord &first = profile.runs()[0], &second = profile.runs()[1];
    CHECK(first.start_ns > 0);
    CHECK(second.start_ns - first.end_ns >= 20 * kMillisecond);
    CHECK(profile.tasks(0)[3].run == 1);
    CHECK(profile.tasks(0)[3].start_ns >= second.start_ns);
}

TEST_CASE("what finds no room is counted, and what is kept is whole") {
    Profile profile({.workers = 1, .tasks_per_worker = 10, .runs = 2});
    described = 0;
    const ProfileScope scope(profile);
    run_loop(1, 7);
    CHECK(profile.dropped() == 0);
    run_loop(1, 7);
    CHECK(profile.dropped() == 4);  // tasks
    run_loop(1, 5);
    CHECK(profile.dropped() == 4 + 1 + 5);  // and a run with all of its tasks
    REQUIRE(profile.runs().size() == 2);
    CHECK(profile.runs()[1].tasks == 7);
    REQUIRE(profile.tasks(0).size() == 10);
    for (const TaskRecord& task : profile.tasks(0)) CHECK(has_label(task));
    CHECK(described == 10);

    profile.clear();
    CHECK(profile.dropped() == 0);
    CHECK(profile.runs().empty());
    CHECK(profile.tasks(0).empty());
    run_loop(1, 6);
    CHECK(profile.dropped() == 0);
    CHECK(profile.tasks(0).size() == 6);
}

TEST_CASE("tasks on other threads are recorded, and those of lanes beyond the profile's are counted") {
    static std::atomic<int> started;  // captured by nobody: ThreadSanitizer does not see oneTBB hand a capture over
    static thread_local bool is_caller = false;
    is_caller = true;
    // Each of two items waits until the other has begun, so that there is one on each lane; the caller's ends first, so that it has
    // to wait for what the other one records.
    const auto wait_for_other = [](int, std::int64_t) {
        ++started;
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (started < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
        if (!is_caller) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    };
    oneapi::tbb::task_arena arena(2);
    arena.execute([&] {
        for (const int lanes : {2, 1}) {
            Profile profile({.workers = lanes});
            const ProfileScope scope(profile);
            started = 0;
            runtime::for_each_item(2, 2, wait_for_other, "loop", kLabel);
            REQUIRE(profile.runs().size() == 1);
            CHECK(profile.runs()[0].workers == 2);
            for (int lane = 0; lane < lanes; ++lane) {
                REQUIRE(profile.tasks(lane).size() == 1);
                CHECK(has_label(profile.tasks(lane)[0]));
            }
            CHECK(profile.dropped() == 2 - lanes);
        }
    });
}

TEST_CASE("without a profile nothing is described, and loops without a description or items are not recorded") {
    described = 0;
    run_loop(1, 10);
    run_loop(4, 10);
    CHECK(described == 0);
    Profile profile;
    const ProfileScope scope(profile);
    runtime::for_each_item(1, 10, kNothing);
    run_loop(1, 0);
    CHECK(profile.runs().empty());
    CHECK(count_tasks(profile) == 0);
}

TEST_CASE("the innermost scope of a thread counts") {
    Profile outer, inner;
    run_loop(1, 1);
    {
        const ProfileScope first(outer);
        run_loop(1, 2);
        {
            const ProfileScope second(inner);
            run_loop(1, 3);
        }
        run_loop(1, 4);
        std::thread([] { run_loop(1, 5); }).join();
    }
    run_loop(1, 6);
    REQUIRE(outer.runs().size() == 2);
    CHECK(outer.runs()[0].tasks == 2);
    CHECK(outer.runs()[1].tasks == 4);
    REQUIRE(inner.runs().size() == 1);
    CHECK(inner.runs()[0].tasks == 3);
}

TEST_CASE("loops within a task are part of it") {
    Profile profile({.workers = 4});
    {
        const ProfileScope scope(profile);
        runtime::for_each_item(3, 5, [](int, std::int64_t) { run_loop(2, 20); }, "loop", kLabel);
    }
    CHECK(fault_of(profile, 3, 5) == "");
}

TEST_CASE("threads that record at once hold their own loops alone, whoever works on them") {
    constexpr int kThreads = 4, kLoops = 50;
    constexpr const char* kOperations[kThreads] = {"a", "b", "c", "d"};
    std::vector<std::unique_ptr<Profile>> profiles;
    for (int i = 0; i < kThreads; ++i) profiles.push_back(std::make_unique<Profile>(Profile::Capacity{.workers = 3}));
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i)
        threads.emplace_back([profile = profiles[static_cast<std::size_t>(i)].get(), i, operation = kOperations[i]] {
            const ProfileScope scope(*profile);
            for (int loop = 0; loop < kLoops; ++loop) run_loop(3, 10 + i, operation);
        });
    for (std::thread& thread : threads) thread.join();
    for (int i = 0; i < kThreads; ++i) {
        const Profile& profile = *profiles[static_cast<std::size_t>(i)];
        CHECK(profile.dropped() == 0);
        CHECK(profile.runs().size() == kLoops);
        CHECK(count_tasks(profile) == kLoops * (10 + i));
        for (const RunRecord& run : profile.runs()) CHECK(run.operation == kOperations[i]);
    }
}

TEST_CASE("a profile has a lane for each worker of the arena it is made in, unless it is told how many") {
    for (const int threads : {1, 3}) {
        oneapi::tbb::task_arena arena(threads);
        arena.execute([&] { CHECK(Profile().workers() == threads); });
    }
    CHECK(Profile({.workers = 5}).workers() == 5);
    CHECK(Profile({.workers = 4096, .tasks_per_worker = 1}).workers() == 4096);
}

TEST_CASE("capacities that are out of range are named") {
    const auto check = [](const Profile::Capacity& capacity, const std::vector<std::string>& parts) {
        check_error([&] { const Profile profile(capacity); }, parts);
    };
    check({.workers = -1}, {"capacity.workers is -1", "1 to 4096"});
    check({.workers = 4097}, {"capacity.workers is 4097", "1 to 4096"});
    check({.tasks_per_worker = 0}, {"capacity.tasks_per_worker is 0", "at least 1"});
    check({.runs = -3}, {"capacity.runs is -3", "at least 1"});
}

}  // namespace
}  // namespace headwise::test
