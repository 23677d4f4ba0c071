#pragma once

#include <cstdint>

namespace headwise {

/// The yardsticks of one ISA: loops that do nothing but multiply-add in registers, or nothing but read memory. Which of several variants
/// is the fastest depends on the core (chains of operations against latency, prefetch against memory), so the caller tries them all.
struct PeakKernels {
    struct MultiplyAdd {
        const char* name;
        /// Runs `iterations` of the loop on values seeded from state[0] (factor), state[1] (addend) and state[2]; returns the FLOPs done.
        /// The results go to state[3], so that nothing is left out. Factor -1 keeps the values in range for any number of iterations.
        double (*run)(std::int64_t iterations, float* state);
    };
    struct Read {
        const char* name;
        /// Reads count floats (a multiple of kReadGranule) at data, which is aligned to 64 bytes; returns their sum. May prefetch beyond.
        float (*run)(const float* data, std::int64_t count);
    };

    static constexpr std::int64_t kReadGranule = 256;  // floats: 4 streams of 4 cache lines

    MultiplyAdd multiply_add[3];
    Read read[10];
};

}  // namespace headwise
