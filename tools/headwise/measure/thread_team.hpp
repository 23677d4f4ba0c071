#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <tbb/global_control.h>
#include <tbb/task_arena.h>

namespace headwise::tools {

/// Exactly N threads, the caller among them: a oneTBB arena in which the engine finds N workers and the yardsticks run on the same
/// cores.
class ThreadTeam {
  public:
    explicit ThreadTeam(int threads);

    int threads() const { return threads_; }

    /// Runs `work` in the arena: what it starts has N workers.
    template <class Work>
    auto run(Work&& work) {
        return arena_.execute(std::forward<Work>(work));
    }

    /// Runs work(0) .. work(N - 1) at once, one on each thread, all starting together; returns the seconds from the start to the
    /// end of the last. Throws std::runtime_error when the system does not provide the threads.
    double run_together(const std::function<void(int)>& work);

  private:
    /// Nothing where the threads did not all come.
    std::optional<double> try_together(const std::function<void(int)>& work);

    int threads_;
    tbb::global_control limit_;  // lets oneTBB make more threads than there are cores, where asked for
    tbb::task_arena arena_;
};

/// A team for each number. To be called where teams of different sizes are to exist at once: oneTBB takes the least of all limits
/// in force, and so that of the largest team must come first.
std::vector<std::unique_ptr<ThreadTeam>> thread_teams(std::span<const int> counts);

/// Now, in seconds, on a clock that never jumps.
double now();

}  // namespace headwise::tools
