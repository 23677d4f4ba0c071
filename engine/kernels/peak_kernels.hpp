#pragma once

#include <cstdint>

#include "engine/kernels/peak_kernel_table.hpp"
#include "engine/simd/inline.hpp"

namespace headwise {
namespace {

/// `kChains` independent accumulators, x = x * factor + addend: as many as registers are left beside factor and addend.
template <class Simd, int kChains>
double multiply_add_peak(std::int64_t iterations, float* state) {
    using Floats = typename Simd::Floats;
    const Floats factor = Simd::broadcast(state[0]), addend = Simd::broadcast(state[1]);
    Floats x[kChains];
    HEADWISE_UNROLL for (int i = 0; i < kChains; ++i) x[i] = Simd::broadcast(state[2] * static_cast<float>(i + 1));
    HEADWISE_NO_UNROLL for (std::int64_t n = 0; n < iterations; ++n) {
        HEADWISE_UNROLL for (int i = 0; i < kChains; ++i) x[i] = Simd::fma(x[i], factor, addend);
    }
    Floats sum = Simd::zero();
    HEADWISE_UNROLL for (int i = 0; i < kChains; ++i) sum = sum + x[i];
    state[3] = Simd::reduce_add(sum);
    return 2.0 * kChains * Simd::kLanes * static_cast<double>(iterations);
}

/// Half of the accumulators multiply, half add. Where there is no fused instruction the two are operations of their own, whose latencies
/// a chain of both adds up; here no chain waits for another.
template <class Simd, int kPairs>
double separate_multiply_add_peak(std::int64_t iterations, float* state) {
    using Floats = typename Simd::Floats;
    const Floats factor = Simd::broadcast(state[0]), addend = Simd::broadcast(state[1]);
    Floats product[kPairs], sum[kPairs];
    HEADWISE_UNROLL for (int i = 0; i < kPairs; ++i) {
        product[i] = Simd::broadcast(state[2] * static_cast<float>(i + 1));
        sum[i] = Simd::broadcast(state[2] * static_cast<float>(i + 2));
    }
    HEADWISE_NO_UNROLL for (std::int64_t n = 0; n < iterations; ++n) {
        HEADWISE_UNROLL for (int i = 0; i < kPairs; ++i) {
            product[i] = product[i] * factor;
            sum[i] = sum[i] + addend;
        }
    }
    Floats total = Simd::zero();
    HEADWISE_UNROLL for (int i = 0; i < kPairs; ++i) total = total + product[i] + sum[i];
    state[3] = Simd::reduce_add(total);
    return 2.0 * kPairs * Simd::kLanes * static_cast<double>(iterations);
}

/// How a read kernel asks for data ahead of its loads: to stay in all caches, or in the first only (not displacing the others).
enum class Prefetch { none, all_caches, first_cache };

template <Prefetch kPrefetch>
HEADWISE_INLINE void prefetch(const char* p) {
    if constexpr (kPrefetch == Prefetch::all_caches) __builtin_prefetch(p, 0, 3);
    if constexpr (kPrefetch == Prefetch::first_cache) __builtin_prefetch(p, 0, 0);
}

/// Sums `count` floats as kStreams contiguous parts read in step, 16 cache lines in one iteration, each prefetched `kDistance` bytes ahead, once.
template <class Simd, int kStreams, Prefetch kPrefetch = Prefetch::none, int kDistance = 0>
float read_peak(const float* data, std::int64_t count) {
    using Floats = typename Simd::Floats;
    constexpr int kLine = 16;                       // floats
    constexpr int kLines = 16 / kStreams;           // of one stream in one iteration
    constexpr int kLoads = kLine / Simd::kLanes;    // of one line
    constexpr int kSums = kLoads < 4 ? 4 : kLoads;  // chains of additions; lines take turns
    const std::int64_t part = count / kStreams;
    Floats sum[kSums];
    HEADWISE_UNROLL for (int i = 0; i < kSums; ++i) sum[i] = Simd::zero();
    HEADWISE_NO_UNROLL for (std::int64_t i = 0; i < part; i += kLines * kLine) {
        HEADWISE_UNROLL for (int s = 0; s < kStreams; ++s) {
            HEADWISE_UNROLL for (int l = 0; l < kLines; ++l) {
                const float* line = data + s * part + i + l * kLine;
                prefetch<kPrefetch>(reinterpret_cast<const char*>(line) + kDistance);
                HEADWISE_UNROLL for (int v = 0; v < kLoads; ++v) {
                    Floats& x = sum[((s * kLines + l) * kLoads + v) % kSums];
                    x = x + Simd::load(line + v * Simd::kLanes);
                }
            }
        }
    }
    Floats total = Simd::zero();
    HEADWISE_UNROLL for (int i = 0; i < kSums; ++i) total = total + sum[i];
    return Simd::reduce_add(total);
}

template <class Simd>
PeakKernels make_peak_kernels() {
    // Two registers hold factor and addend; the smaller counts win where the register allocation would spill.
    constexpr int kFree = Simd::kRegisters - 2;
    return {
        .multiply_add = {{"chains, all registers", multiply_add_peak<Simd, kFree>},
                         {"chains, a few registers left", multiply_add_peak<Simd, kFree - (Simd::kRegisters > 16 ? 6 : 2)>},
                         {"separate multiply and add", separate_multiply_add_peak<Simd, kFree / 2>}},
        .read = {{"1 stream", read_peak<Simd, 1>},
                 {"1 stream, prefetch 1 KiB ahead", read_peak<Simd, 1, Prefetch::all_caches, 1 << 10>},
                 {"1 stream, prefetch 2 KiB ahead", read_peak<Simd, 1, Prefetch::all_caches, 2 << 10>},
                 {"1 stream, prefetch 4 KiB ahead", read_peak<Simd, 1, Prefetch::all_caches, 4 << 10>},
                 {"1 stream, prefetch 8 KiB ahead", read_peak<Simd, 1, Prefetch::all_caches, 8 << 10>},
                 {"1 stream, non-temporal prefetch 4 KiB ahead", read_peak<Simd, 1, Prefetch::first_cache, 4 << 10>},
                 {"2 streams, prefetch 4 KiB ahead", read_peak<Simd, 2, Prefetch::all_caches, 4 << 10>},
                 {"4 streams", read_peak<Simd, 4>},
                 {"4 streams, prefetch 2 KiB ahead", read_peak<Simd, 4, Prefetch::all_caches, 2 << 10>},
                 {"4 streams, non-temporal prefetch 2 KiB ahead", read_peak<Simd, 4, Prefetch::first_cache, 2 << 10>}},
    };
}

}  // namespace
}  // namespace headwise
