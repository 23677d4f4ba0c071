#pragma once

#include <cstdint>

#include "engine/layout/cache_line.hpp"
#include "engine/simd/inline.hpp"

namespace headwise {

/// The yardsticks of one ISA: loops that do nothing but multiply and add in registers, or nothing but read memory. Which of several
/// variants is the fastest depends on core and compiler, so whoever measures tries them all. The engine itself uses none of them.
struct PeakKernels {
    struct MultiplyAdd {
        const char* name;
        /// Runs `iterations` of the loop on values seeded from state[0] (factor), state[1] (addend) and state[2]; returns the FLOPs
        /// done. The results go to state[4..19], so that nothing is left out. Factor -1 keeps the values in range for any number of
        /// iterations.
        double (*run)(std::int64_t iterations, float* state);
    };
    struct Read {
        const char* name;
        /// Reads count floats (a multiple of kReadGranule) at data, which is aligned to 64 bytes. The sums go to out[0..15]. May
        /// prefetch beyond.
        void (*run)(const float* data, std::int64_t count, float* out);
    };

    static constexpr std::int64_t kReadGranule = 256;  // floats: 16 cache lines

    MultiplyAdd multiply_add[5];
    Read read[8];
};

namespace {

/// `kChains` independent accumulators, x = x * factor + addend.
template <class S, int kChains>
double multiply_add_peak(std::int64_t iterations, float* state) {
    using Floats = typename S::Floats;
    const Floats factor = S::broadcast(state[0]), addend = S::broadcast(state[1]);
    Floats x[kChains];
    HEADWISE_UNROLL for (int i = 0; i < kChains; ++i) x[i] = S::broadcast(state[2] * static_cast<float>(i + 1));
    HEADWISE_NO_UNROLL for (std::int64_t n = 0; n < iterations; ++n) {
        HEADWISE_UNROLL for (int i = 0; i < kChains; ++i) x[i] = S::fma(x[i], factor, addend);
    }
    Floats sum = S::zero();
    HEADWISE_UNROLL for (int i = 0; i < kChains; ++i) sum = sum + x[i];
    S::store(state + 4, sum);
    return 2.0 * kChains * S::kLanes * static_cast<double>(iterations);
}

/// Half of the accumulators multiply, half add. Without a fused instruction the two are operations of their own, whose latencies
/// add up in a chain of both; here none waits for another.
template <class S, int kPairs>
double separate_multiply_add_peak(std::int64_t iterations, float* state) {
    using Floats = typename S::Floats;
    const Floats factor = S::broadcast(state[0]), addend = S::broadcast(state[1]);
    Floats product[kPairs], sum[kPairs];
    HEADWISE_UNROLL for (int i = 0; i < kPairs; ++i) {
        product[i] = S::broadcast(state[2] * static_cast<float>(i + 1));
        sum[i] = S::broadcast(state[2] * static_cast<float>(i + 2));
    }
    HEADWISE_NO_UNROLL for (std::int64_t n = 0; n < iterations; ++n) {
        HEADWISE_UNROLL for (int i = 0; i < kPairs; ++i) {
            product[i] = product[i] * factor;
            sum[i] = sum[i] + addend;
        }
    }
    Floats total = S::zero();
    HEADWISE_UNROLL for (int i = 0; i < kPairs; ++i) total = total + product[i] + sum[i];
    S::store(state + 4, total);
    return 2.0 * kPairs * S::kLanes * static_cast<double>(iterations);
}

/// How data is asked for ahead of its loads: to stay in all caches, or in the first only, not displacing what the others hold.
enum class Prefetch { none, all_caches, first_cache };

/// Sums `count` floats as kStreams contiguous parts read in step, 16 cache lines in one iteration, each prefetched `kDistance`
/// bytes ahead, once.
template <class S, int kStreams, Prefetch kPrefetch = Prefetch::none, int kDistance = 0>
void read_peak(const float* data, std::int64_t count, float* out) {
    using Floats = typename S::Floats;
    constexpr int kLine = kCacheLineFloats;
    constexpr int kLines = 16 / kStreams;           // of one stream in one iteration
    constexpr int kLoads = kLine / S::kLanes;       // of one line
    constexpr int kSums = kLoads < 4 ? 4 : kLoads;  // chains of additions; lines take turns
    const std::int64_t part = count / kStreams;
    Floats sum[kSums];
    HEADWISE_UNROLL for (int i = 0; i < kSums; ++i) sum[i] = S::zero();
    HEADWISE_NO_UNROLL for (std::int64_t i = 0; i < part; i += kLines * kLine) {
        HEADWISE_UNROLL for (int s = 0; s < kStreams; ++s) {
            HEADWISE_UNROLL for (int l = 0; l < kLines; ++l) {
                const float* line = data + s * part + i + l * kLine;
                if constexpr (kPrefetch == Prefetch::all_caches)
                    __builtin_prefetch(reinterpret_cast<const char*>(line) + kDistance, 0, 3);
                if constexpr (kPrefetch == Prefetch::first_cache)
                    __builtin_prefetch(reinterpret_cast<const char*>(line) + kDistance, 0, 0);
                HEADWISE_UNROLL for (int v = 0; v < kLoads; ++v) {
                    Floats& x = sum[((s * kLines + l) * kLoads + v) % kSums];
                    x = x + S::load(line + v * S::kLanes);
                }
            }
        }
    }
    Floats total = S::zero();
    HEADWISE_UNROLL for (int i = 0; i < kSums; ++i) total = total + sum[i];
    S::store(out, total);
}

template <class S>
constexpr PeakKernels peak_kernels() {
    constexpr bool kManyRegisters = S::kRegisters > 16;
    constexpr int kFewest = kManyRegisters ? 24 : 10;
    constexpr int kMost = kManyRegisters ? 28 : S::kLanes == 1 ? 48 : 13;
    return {
        // Two registers hold factor and addend. Fewer chains win where one more register makes the compiler spill; 48 scalars
        // are 12 vectors where the compiler makes vectors of them, as it may in the scalar kernels.
        .multiply_add = {{"14 chains", multiply_add_peak<S, 14>},
                         {"12 chains", multiply_add_peak<S, 12>},
                         {kManyRegisters ? "24 chains" : "10 chains", multiply_add_peak<S, kFewest>},
                         {kManyRegisters   ? "28 chains"
                          : S::kLanes == 1 ? "48 values"
                                           : "13 chains",
                          multiply_add_peak<S, kMost>},
                         {"6 products and 6 sums", separate_multiply_add_peak<S, 6>}},
        .read = {{"1 stream", read_peak<S, 1>},
                 {"1 stream, prefetch 2 KiB ahead", read_peak<S, 1, Prefetch::all_caches, 2 << 10>},
                 {"1 stream, prefetch 4 KiB ahead", read_peak<S, 1, Prefetch::all_caches, 4 << 10>},
                 {"1 stream, prefetch 8 KiB ahead", read_peak<S, 1, Prefetch::all_caches, 8 << 10>},
                 {"1 stream, prefetch 4 KiB ahead to the first cache", read_peak<S, 1, Prefetch::first_cache, 4 << 10>},
                 {"2 streams, prefetch 4 KiB ahead", read_peak<S, 2, Prefetch::all_caches, 4 << 10>},
                 {"4 streams", read_peak<S, 4>},
                 {"4 streams, prefetch 2 KiB ahead to the first cache", read_peak<S, 4, Prefetch::first_cache, 2 << 10>}},
    };
}

}  // namespace
}  // namespace headwise
