#include "thread_team.hpp"

#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

namespace headwise::tools {
namespace {

constexpr double kPatience = 10;  // seconds until a thread that has not come is given up

}  // namespace

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

ThreadTeam::ThreadTeam(int threads)
    : threads_(threads),
      limit_(tbb::global_control::max_allowed_parallelism,
             std::max(static_cast<std::size_t>(threads),
                      tbb::global_control::active_value(tbb::global_control::max_allowed_parallelism))),
      arena_(threads) {}

double ThreadTeam::run_together(const std::function<void(int)>& work) {
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
    if (failed.load()) throw std::runtime_error("the system did not run " + std::to_string(threads_) + " threads at once");
    return now() - start.load();
}

}  // namespace headwise::tools
