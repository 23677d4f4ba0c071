#pragma once

#include <optional>
#include <string>
#include <vector>

namespace headwise::tools {

/// Of all threads of the program together, in user mode.
struct CounterValues {
    double instructions = 0, cycles = 0;
    double nanoseconds = 0;  ///< on processors

    double instructions_per_cycle() const { return instructions / cycles; }
    double gigahertz() const { return cycles / nanoseconds; }
};

/// Hardware counters of the threads that the program has when this is made, by perf_event_open().
class ThreadCounters {
  public:
    ThreadCounters();
    ThreadCounters(const ThreadCounters&) = delete;
    ThreadCounters& operator=(const ThreadCounters&) = delete;
    ~ThreadCounters();

    /// Empty where the counters can be read, otherwise why they cannot.
    const std::string& reason() const { return reason_; }

    void start();
    /// Since start(); none where the counters cannot be read or did not run.
    std::optional<CounterValues> stop();

  private:
    struct Thread {
        int instructions = -1, cycles = -1, clock = -1;  ///< descriptors
    };

    bool add(int thread);

    std::vector<Thread> threads_;
    std::string reason_;
};

}  // namespace headwise::tools
