#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>

#include "bench/benchmarks.hpp"
#include "headwise/cpu.hpp"
#include "headwise/error.hpp"
#include "text/usage_error.hpp"

namespace {

int run(int argc, char** argv) {
    benchmark::AddCustomContext("isa",
                                std::string(headwise::isa_name(headwise::active_isa())) + " (" + headwise::isa_reason() + ")");
    headwise::bench::register_benchmarks();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}

int report(const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const headwise::Error& error) {  // HEADWISE_ISA
        return report(error);
    } catch (const headwise::tools::UsageError& error) {  // more memory than there is
        return report(error);
    }
}
