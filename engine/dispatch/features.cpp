// This file is compiled without any ISA flag: it runs before anything is known about the machine.
#include "engine/dispatch/features.hpp"

#include <algorithm>

#include "engine/dispatch/kernel_list.hpp"

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace headwise {
namespace {

struct IsaName {
    Isa isa;
    std::string_view name;
};
constexpr IsaName kNames[] = {
    {Isa::scalar, "scalar"}, {Isa::sse4_2, "sse4.2"}, {Isa::avx2, "avx2"}, {Isa::avx512, "avx512"}, {Isa::neon, "neon"}};

std::vector<std::string_view> split(std::string_view text) {
    std::vector<std::string_view> words;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        if (end > 0) words.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return words;
}

std::vector<IsaRequirements> make_requirements() {
    std::vector<IsaRequirements> list;
    const auto tables = kernel_list();
    for (const auto& [isa, name] : kNames) {
        const auto table = std::ranges::find(tables, isa, &KernelTable::isa);
        const bool compiled_in = table != tables.end();
        list.push_back({isa, name, compiled_in, compiled_in ? split((*table)->features) : std::vector<std::string_view>{}});
    }
    return list;
}

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
    static const auto& list = *new std::vector<IsaRequirements>(make_requirements());
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
