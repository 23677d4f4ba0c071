#include "cases/suite.hpp"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <system_error>
#include <utility>

#include "text/usage_error.hpp"

namespace headwise::tools {
namespace {

// The shapes that the engine is tuned and judged by, from whole prompts over generation (one query row that reads all keys) to
// products.
constexpr std::array<std::pair<const char*, const char*>, 15> kTargets{{
    {"attention, 8 heads, 4096, D64", "attention:hq=8,sq=4096,d=64"},
    {"attention, 12 heads, 512, D64", "attention:hq=12,sq=512,d=64"},
    {"attention, batch 8, 12 heads, 128, D64", "attention:b=8,hq=12,sq=128,d=64"},
    {"attention, 32/8 heads, 2048, D128, causal", "attention:hq=32,hkv=8,sq=2048,d=128,causal=bottom-right"},
    {"attention, 12 heads, 1024, D64, causal", "attention:hq=12,sq=1024,d=64,causal=bottom-right"},
    {"decode, batch 8, 32/8 heads, 4096, D128", "attention:b=8,hq=32,hkv=8,sq=1,skv=4096,d=128,causal=bottom-right"},
    {"decode, batch 1, 32/32 heads, 4096, D128", "attention:hq=32,sq=1,skv=4096,d=128,causal=bottom-right"},
    {"matmul 512 x 768 x 768", "matmul:m=512,n=768,k=768"},
    {"matmul 512 x 3072 x 768", "matmul:m=512,n=3072,k=768"},
    {"matmul 64^3", "matmul:m=64,n=64,k=64"},
    {"matmul 256^3", "matmul:m=256,n=256,k=256"},
    {"matmul 1024^3", "matmul:m=1024,n=1024,k=1024"},
    {"matmul 2048^3", "matmul:m=2048,n=2048,k=2048"},
    {"matmul 4096^3", "matmul:m=4096,n=4096,k=4096"},
    {"multi-head layer, 512 x 768, 12 heads", "layer:s=512,model=768,heads=12"},
}};

std::filesystem::path program_directory() {
    std::error_code error;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
    return error ? std::filesystem::path(".") : program.parent_path();
}

}  // namespace

std::string data_file(const std::string& directory, const std::string& name) {
    std::vector<std::filesystem::path> candidates;
    if (!directory.empty()) {
        candidates = {directory};
    } else {
        const auto program = program_directory();
        // installed: bin/headwise; build tree: build/<preset>/bin/headwise
        candidates = {program / "../share/headwise/data", program / "../../../data", HEADWISE_SOURCE_DIRECTORY "/data"};
    }
    std::error_code error;
    for (const auto& candidate : candidates) {
        if (std::filesystem::exists(candidate / name, error)) return (candidate / name).lexically_normal().string();
    }
    if (!directory.empty()) throw UsageError(fmt::format("--data is '{}': there is no {} in it", directory, name));
    throw UsageError(fmt::format("the real input {} was not found; name its directory with --data", name));
}

std::vector<SuiteEntry> real_suite(const std::string& data_directory) {
    return {{.name = "all-MiniLM-L6-v2, 6 layers, real text",
             .sizes = {},
             .file = data_file(data_directory, "minilm.safetensors"),
             .file_options = {}},
            {.name = "SmolLM2-135M, 1 layer, real text, causal",
             .sizes = {},
             .file = data_file(data_directory, "smollm2.safetensors"),
             .file_options = {.causal = Causal::bottom_right, .scale = {}, .layout = Layout::bhsd}}};
}

std::vector<SuiteEntry> default_suite(const std::string& data_directory) {
    std::vector<SuiteEntry> suite = real_suite(data_directory);
    for (const auto& [name, text] : kTargets)
        suite.push_back({.name = name, .sizes = parse_case(text), .file = {}, .file_options = {}});
    return suite;
}

}  // namespace headwise::tools
