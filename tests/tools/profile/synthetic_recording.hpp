#pragma once

#include <cstdint>

#include "profile/record/recording.hpp"

namespace headwise::tools::test {

/// Records written by hand, in microseconds; a task has 1000 FLOPs and 10 bytes for each of them unless said otherwise.
class SyntheticRecording {
  public:
    SyntheticRecording(int threads, double call_us) { recording_.threads = threads, recording_.seconds = 1e-6 * call_us; }

    /// Tasks that follow are of this loop.
    SyntheticRecording& loop(double start_us, double end_us, const char* operation = "attention", int workers = 0) {
        recording_.loops.push_back({.operation = operation,
                                    .workers = workers == 0 ? recording_.threads : workers,
                                    .tasks = 0,
                                    .start_ns = nanoseconds(start_us),
                                    .end_ns = nanoseconds(end_us)});
        return *this;
    }

    struct Place {
        std::int64_t head = 0, batch = 0, row_block = 0;
    };
    /// `flops` < 0: as many as the time suggests.
    SyntheticRecording& task(int worker, double start_us, double end_us, Place place, double flops = -1) {
        ++recording_.loops.back().tasks;
        recording_.tasks.push_back({.run = static_cast<std::int32_t>(recording_.loops.size()) - 1,
                                    .worker = worker,
                                    .batch = place.batch,
                                    .head = place.head,
                                    .row_block = place.row_block,
                                    .kernel = "query-lanes",
                                    .start_ns = nanoseconds(start_us),
                                    .end_ns = nanoseconds(end_us),
                                    .flops = flops < 0 ? 1000 * (end_us - start_us) : flops,
                                    .bytes = 10 * (end_us - start_us)});
        return *this;
    }

    operator const Recording&() const { return recording_; }

  private:
    static std::int64_t nanoseconds(double us) { return static_cast<std::int64_t>(1000 * us); }

    Recording recording_;
};

}  // namespace headwise::tools::test
