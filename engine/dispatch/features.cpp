// This file is compiled without any ISA flag: it runs before anything is known about the machine.
#include "engine/dispatch/features.hpp"

#include <algorithm>

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace headwise {
namespace {

#if defined(HEADWISE_KERNELS_SSE4_2)
constexpr bool kHasSse42Kernels = true;
#else
constexpr bool kHasSse42Kernels = false;
#endif
#if defined(HEADWISE_KERNELS_AVX2)
constexpr bool kHasAvx2Kernels = true;
#else
constexpr bool kHasAvx2Kernels = false;
#endif
#if defined(HEADWISE_KERNELS_AVX512)
constexpr bool kHasAvx512Kernels = true;
#else
constexpr bool kHasAvx512Kernels = false;
#endif
#if defined(HEADWISE_KERNELS_NEON)
constexpr bool kHasNeonKernels = true;
#else
constexpr bool kHasNeonKernels = false;
#endif

std::vector<std::string_view> detect_features() {
    std::vector<std::string_view> features;
    [[maybe_unused]] const auto add = [&features](bool present, const char* name) {
        if (present) features.emplace_back(name);
    };
#if defined(__x86_64__)
    // The builtin takes literals only. It also asks the operating system (XGETBV) whether the wide registers survive a context
    // switch.
    __builtin_cpu_init();  // needed where a static constructor of the program is the first caller
    add(__builtin_cpu_supports("sse4.2"), "sse4.2");
    add(__builtin_cpu_supports("avx"), "avx");
    add(__builtin_cpu_supports("f16c"), "f16c");
    add(__builtin_cpu_supports("fma"), "fma");
    add(__builtin_cpu_supports("avx2"), "avx2");
    add(__builtin_cpu_supports("avx512f"), "avx512f");
    add(__builtin_cpu_supports("avx512bw"), "avx512bw");
    add(__builtin_cpu_supports("avx512cd"), "avx512cd");
    add(__builtin_cpu_supports("avx512dq"), "avx512dq");
    add(__builtin_cpu_supports("avx512vl"), "avx512vl");
    add(__builtin_cpu_supports("avx512vnni"), "avx512_vnni");
    add(__builtin_cpu_supports("avx512bf16"), "avx512_bf16");
#elif defined(__aarch64__)
    const unsigned long capabilities = getauxval(AT_HWCAP);
    add(true, "neon");  // part of the AArch64 base architecture
    add((capabilities & HWCAP_ASIMDHP) != 0, "fp16");
    add((capabilities & HWCAP_ASIMDDP) != 0, "dotprod");
    add((capabilities & HWCAP_SVE) != 0, "sve");
    const unsigned long more_capabilities = getauxval(AT_HWCAP2);
    add((more_capabilities & HWCAP2_I8MM) != 0, "i8mm");
    add((more_capabilities & HWCAP2_BF16) != 0, "bf16");
#endif
    return features;
}

}  // namespace

// What is made once here and in the other files of this folder is never destroyed: calls from static destructors, from threads that
// outlive main() and from atexit handlers find it.

const std::vector<IsaRequirements>& isa_requirements() {
    static const auto& list = *new std::vector<IsaRequirements>{
        {Isa::scalar, "scalar", true, {}},
        {Isa::sse4_2, "sse4.2", kHasSse42Kernels, {"sse4.2"}},
        {Isa::avx2, "avx2", kHasAvx2Kernels, {"avx2", "fma", "f16c"}},
        {Isa::avx512,
         "avx512",
         kHasAvx512Kernels,
         {"avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512cd", "avx512dq",
          "avx512vl"}},  // the flags its kernels are compiled with
        {Isa::neon, "neon", kHasNeonKernels, {"neon"}},
    };
    return list;
}

std::span<const std::string_view> cpu_features() {
    static const auto& features = *new std::vector<std::string_view>(detect_features());
    return features;
}

bool has_feature(std::string_view name) {
    const auto features = cpu_features();
    return std::find(features.begin(), features.end(), name) != features.end();
}

}  // namespace headwise
