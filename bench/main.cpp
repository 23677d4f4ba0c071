#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>

#include "bench/benchmarks.hpp"
#include "headwise/cpu.hpp"
#include "headwise/error.hpp"

int main(int argc, char** argv) {
    try {
        benchmark::AddCustomContext("isa",
                                    std::string(headwise::isa_name(headwise::active_isa())) + " (" + headwise::isa_reason() + ")");
    } catch (const headwise::Error& error) {  // HEADWISE_ISA
        std::fprintf(stderr, "%s\n", error.what());
        return 2;
    }
    headwise::bench::register_benchmarks();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
