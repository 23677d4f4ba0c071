#include "measure/thread_team.hpp"

#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

namespace headwise::tools {
namespace {

// Seconds until a thread that has not come is given up, and attempts, each of which gives oneTBB new work to wake its workers for.
// Version 2021.8 was seen to wake none for 10 seconds, once in some hundred runs of a test.
constexpr double kPatience = 1;
constexpr int kAttempts = 10;

/// What allows so many threads without taking any from those who were allowed more.
std::size_t limit_for(int threads) {
    return std::max(static_cast<std::size_t>(threads),
                    tbb::global_control::active_value(tbb::global_control::max_allowed_parallelism));
}

}  // namespace

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

ThreadTeam::ThreadTeam(int threads)
    : threads_(threads), limit_(tbb::global_control::max_allowed_parallelism, limit_for(threads)), arena_(threads) {}

double ThreadTeam::run_together(const std::function<void(int)>& work) {
    for (int attempt = 0; attempt < kAttempts; ++attempt)
        if (const std::optional<double> seconds = try_together(work)) return *seconds;
    throw std::runtime_error("the system did not run " + std::to_string(threads_) + " threads at once");
}

std::optional<double> ThreadTeam::try_together(const std::function<void(int)>& work) {
    std::atomic<int> arrived{0};
    std::atomic<double> start{0};
    std::atomic<bool> failed{false};
    // Each task waits for all others, so that no thread can take two of them.
    const auto task = [&](int index) {
        const double deadline = now() + kPatience;
        if (arrived.fetch_add(1) + 1 == threads_) start.store(now());
        while (start.load() == 0 && !failed.load()) {
            if (now() > deadline) failed.store(true);
            std::this_thread::yield();
        }
        if (!failed.load()) work(index);
    };
    arena_.execute([&] { tbb::parallel_for(0, threads_, 1, task, tbb::simple_partitioner()); });
    if (failed.load()) return {};
    return now() - start.load();
}

std::vector<std::unique_ptr<ThreadTeam>> thread_teams(std::span<const int> counts) {
    const tbb::global_control most(tbb::global_control::max_allowed_parallelism, limit_for(std::ranges::max(counts)));
    std::vector<std::unique_ptr<ThreadTeam>> teams;
    for (const int count : counts) teams.push_back(std::make_unique<ThreadTeam>(count));
    return teams;
}

}  // namespace headwise::tools
