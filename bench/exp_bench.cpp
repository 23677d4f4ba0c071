#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cmath>

#include "bench/benchmarks.hpp"
#include "bench/case_benchmark.hpp"
#include "buffers/float_buffer.hpp"
#include "engine/kernels/kernel_table.hpp"
#include "headwise/cpu.hpp"
#include "measure/thread_team.hpp"

namespace headwise::bench {
namespace {

struct Function {
    const char* name;
    void (*MathKernels::*kernel)(const float*, float*, std::int64_t);
    double (*exact)(double);
    double flops;  // additions and multiplications for one element; rounding to an integer and scaling by 2^n not counted
};

double exp_f64(double x) {
    return std::exp(x);
}
double exp2_f64(double x) {
    return std::exp2(x);
}

constexpr Function kFunctions[] = {{"exp", &MathKernels::exp, exp_f64, 17}, {"exp2", &MathKernels::exp2, exp2_f64, 13}};

void run_function(benchmark::State& state, const Function& function, std::int64_t size) {
    const tools::FloatBuffer x(size), y(size);
    tools::fill_random(x.span(), 1);
    const auto kernel = kernel_table(active_isa()).math.*function.kernel;
    kernel(x.data(), y.data(), size);
    for (std::int64_t i = 0; i < size; ++i) {
        const double exact = function.exact(static_cast<double>(x.data()[i]));
        if (!(std::abs(y.data()[i] - exact) <= 1.2e-7 * exact)) {
            state.SkipWithError(fmt::format("wrong result: {}({}) is {}", function.name, x.data()[i], y.data()[i]).c_str());
            return;
        }
    }

    const double before = one_thread_peak_gflops();
    const double start = tools::now();
    for ([[maybe_unused]] auto _ : state) {
        kernel(x.data(), y.data(), size);
        benchmark::ClobberMemory();
    }
    const double seconds = tools::now() - start;
    const double elements = static_cast<double>(size) * static_cast<double>(state.iterations()) / seconds / 1e9;
    state.counters["Gelements/s"] = elements;
    state.counters["GF/s"] = function.flops * elements;
    state.counters["peak_%"] = 100 * function.flops * elements / ((before + one_thread_peak_gflops()) / 2);
}

}  // namespace

void register_benchmarks() {
    // In the first cache, in the last, in memory.
    for (const Function& function : kFunctions) {
        for (const std::int64_t size : {256, 1 << 18, 1 << 25}) {
            benchmark::RegisterBenchmark(fmt::format("{}/{}", function.name, size).c_str(),
                                         [&function, size](benchmark::State& state) { run_function(state, function, size); });
        }
    }
    // Attention over keys so short that its softmax (maximum, exponentials, sum) is most of the work.
    for (const char* text : {"attention:hq=8,sq=1024,d=4", "attention:hq=8,sq=1024,d=16"}) register_case(text);
}

}  // namespace headwise::bench
