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

/// The ISAs that this binary has kernels for and this machine can run, weakest first. Never empty.
HEADWISE_API std::span<const Isa> available_isas();

/// The ISA that calls use from now on: the strongest available one, unless the environment variable HEADWISE_ISA (read once, at the
/// first use) or set_isa() selects another. Throws Error if HEADWISE_ISA names an ISA that is unknown or unavailable.
HEADWISE_API Isa active_isa();

/// Selects the ISA for calls and plans made from now on; existing plans keep theirs. Throws Error if it is unavailable.
/// Thread-safe; meant for tests, benchmarks and bug reports.
HEADWISE_API void set_isa(Isa isa);

/// Why active_isa() was selected, in words: "strongest available", "HEADWISE_ISA", "set_isa()".
HEADWISE_API std::string isa_reason();

/// Data cache sizes in bytes per core, from the operating system. If cores differ, the smallest of each level on the machine, so
/// that bits do not depend on which cores a process may use. If the system does not report them, 32 KiB, 512 KiB and 8 MiB, with
/// `detected` false.
struct CacheSizes {
    std::int64_t l1d = 32 << 10;
    std::int64_t l2 = 512 << 10;
    std::int64_t l3 = 8 << 20;
    bool detected = false;

    /// The sizes that block sizes are based on, which are bounded: a virtual machine may report its host's whole last-level cache
    /// (260 MiB seen) but gets only a slice of it. Each call would map buffers of half that size anew, which takes three times as
    /// long as with buffers for a smaller cache.
    CacheSizes usable() const noexcept {
        constexpr std::int64_t kMostL2 = std::int64_t{4} << 20, kMostL3 = std::int64_t{32} << 20;
        return {l1d, l2 < kMostL2 ? l2 : kMostL2, l3 < kMostL3 ? l3 : kMostL3, detected};
    }
};

struct CpuInfo {
    std::string model;  ///< as the processor names itself
    std::span<const std::string_view>
        features;  ///< those that the library can use: "sse4.2", "avx2", "fma", "avx512f", "avx512_bf16", ...
    CacheSizes caches;
    int logical_cores = 1;  ///< that this process may run on
    int physical_cores = 1;
    int numa_nodes = 1;
    /// Processor time that control groups (a container's limit) grant the process, in processors; 0: no limit.
    double cpu_quota = 0;
    /// Threads worth running: logical_cores, or cpu_quota rounded up if that is fewer. A call in a task arena of oneTBB's default
    /// size has at most cpu_quota workers, rounded up; in an arena of any other size, as many as the arena has.
    int usable_cores = 1;
};

/// What this machine has and what this process may use of it; collected once.
HEADWISE_API const CpuInfo& cpu_info();

}  // namespace headwise
