#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "headwise/export.hpp"
#include "headwise/isa.hpp"

namespace headwise {

/// "scalar", "sse4.2", "avx2" (with FMA), "avx512" (F, BW, CD, DQ, VL), "neon".
HEADWISE_API std::string_view isa_name(Isa isa) noexcept;

/// The inverse of isa_name(). Throws Error on an unknown name, listing the known ones.
HEADWISE_API Isa isa_from_name(std::string_view name);

/// The ISAs whose kernels are in this binary and that this machine can run, weakest first. Never empty.
HEADWISE_API std::span<const Isa> available_isas();

/// The ISA that calls use from now on: the strongest available one, unless the environment variable HEADWISE_ISA (read once,
/// at the first use) or set_isa() says otherwise. Throws Error when HEADWISE_ISA names an ISA that is unknown or unavailable.
HEADWISE_API Isa active_isa();

/// Chooses the ISA for calls and plans made after it; existing plans keep theirs. Throws Error when it is unavailable.
/// Thread-safe; meant for tests, benchmarks and bug reports.
HEADWISE_API void set_isa(Isa isa);

/// Why active_isa() is what it is, in words: "strongest available", "HEADWISE_ISA", "set_isa()".
HEADWISE_API std::string isa_reason();

/// Data cache sizes in bytes as one core sees them, from the operating system at run time; where cores differ, the smallest of each
/// level that any core of the machine has, so that bits do not depend on which cores a process may use. Where it does not tell, the
/// documented fall-back (32 KiB, 512 KiB, 8 MiB), and `detected` is false.
struct CacheSizes {
    std::int64_t l1d = 32 << 10;
    std::int64_t l2 = 512 << 10;
    std::int64_t l3 = 8 << 20;
    bool detected = false;

    /// What is counted on: a virtual machine may report all of its host's last cache (260 MiB were seen), of which it gets a slice.
    /// Buffers of half of that would be mapped anew by each call, and take three times as long as those of a smaller cache.
    CacheSizes usable() const noexcept {
        constexpr std::int64_t kMostL2 = std::int64_t{4} << 20, kMostL3 = std::int64_t{32} << 20;
        return {l1d, l2 < kMostL2 ? l2 : kMostL2, l3 < kMostL3 ? l3 : kMostL3, detected};
    }
};

struct CpuInfo {
    std::string model;                           ///< as the processor names itself
    std::span<const std::string_view> features;  ///< those that matter here: "sse4.2", "avx2", "fma", "avx512f", "avx512_bf16", ...
    CacheSizes caches;
    int logical_cores = 1;  ///< that this process may run on
    int physical_cores = 1;
    int numa_nodes = 1;
    /// The processor time that the process's control groups grant, as of a container, in processors; 0: no bound.
    double cpu_quota = 0;
    /// Threads that are worth running: logical_cores, or cpu_quota rounded up where that is fewer. Calls in a task arena of
    /// oneTBB's default size have no more workers than cpu_quota rounded up; in an arena of any other size, as many as that has.
    int usable_cores = 1;
};

/// What is known about this machine and what this process may have of it; collected once.
HEADWISE_API const CpuInfo& cpu_info();

}  // namespace headwise
