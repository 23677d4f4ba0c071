#include "bench/case_benchmark.hpp"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "cases/case.hpp"
#include "compare/comparison.hpp"
#include "headwise/cpu.hpp"
#include "measure/accuracy.hpp"
#include "measure/machine_probe.hpp"
#include "measure/thread_team.hpp"
#include "workloads/case_memory.hpp"
#include "workloads/workload.hpp"

namespace headwise::bench {
namespace {

using tools::ThreadTeam;

tools::MachineProbe& probe() {
    static tools::MachineProbe instance(active_isa());
    return instance;
}

/// The rate of what bounds the workload, now, in FLOPs or bytes a second: the best of some bursts, as other programs disturb one or
/// the other.
double yardstick(tools::ReadSet& operands, tools::Bound bound, ThreadTeam& team) {
    double best = 0;
    for (int burst = 0; burst < 5; ++burst) {
        best = std::max(best, bound == tools::Bound::reading ? probe().read_gigabytes(team, operands, 0.02)
                                                             : probe().multiply_add_gflops(team, 0.004));
    }
    return 1e9 * best;
}

void run_case(benchmark::State& state, const tools::CaseSizes& sizes, int threads) {
    tools::check_case_memory(sizes, threads);
    const auto workload = tools::make_workload(sizes);
    ThreadTeam team(threads);
    const auto call = team.run([&] { return workload->prepare(); });
    team.run(call);
    if (const tools::Accuracy accuracy = workload->check(); tools::is_wrong(accuracy)) {
        state.SkipWithError(fmt::format("wrong result: error {:.1e}", accuracy.engine_error).c_str());
        return;
    }

    tools::ReadSet operands(workload->operands());
    const tools::Bound bound = tools::bound_of(*workload, probe(), team, operands);
    const double before = yardstick(operands, bound, team);
    const double seconds = team.run([&] {
        const double start = tools::now();
        for ([[maybe_unused]] auto _ : state) call();
        return tools::now() - start;
    });
    const double after = yardstick(operands, bound, team);

    const auto iterations = static_cast<double>(state.iterations());
    const double work = bound == tools::Bound::reading ? workload->read_bytes() : workload->flops();
    state.counters["GF/s"] = workload->flops() * iterations / seconds / 1e9;
    state.counters["GB/s"] = workload->read_bytes() * iterations / seconds / 1e9;
    state.counters[bound == tools::Bound::reading ? "read_%" : "peak_%"] =
        100 * work * iterations / seconds / ((before + after) / 2);
}

}  // namespace

void register_case(const std::string& text) {
    const tools::CaseSizes sizes = tools::parse_case(text);
    const int all = cpu_info().usable_cores;
    for (const int threads : all > 1 ? std::vector{1, all} : std::vector{1}) {
        benchmark::RegisterBenchmark(fmt::format("{}/threads:{}", text, threads).c_str(),
                                     [=](benchmark::State& state) { run_case(state, sizes, threads); })
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond);
    }
}

double one_thread_peak_gflops() {
    static ThreadTeam team(1);
    return probe().best_multiply_add_gflops(team);
}

}  // namespace headwise::bench
