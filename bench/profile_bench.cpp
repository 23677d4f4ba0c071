// What recording costs: each call with a profile and without, in turn.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "bench/benchmarks.hpp"
#include "cases/case.hpp"
#include "headwise/cpu.hpp"
#include "headwise/profile.hpp"
#include "measure/accuracy.hpp"
#include "measure/thread_team.hpp"
#include "workloads/case_memory.hpp"
#include "workloads/workload.hpp"

namespace headwise::bench {
namespace {

double median(std::vector<double>& values) {
    const auto middle = values.begin() + std::ssize(values) / 2;
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

template <class Call>
double seconds_of(const Call& call) {
    const double start = tools::now();
    call();
    return tools::now() - start;
}

void run_case(benchmark::State& state, const tools::CaseSizes& sizes, int threads) {
    tools::check_case_memory(sizes, threads);
    const auto workload = tools::make_workload(sizes);
    tools::ThreadTeam team(threads);
    const auto call = team.run([&] { return workload->prepare(); });
    Profile profile({.workers = threads});
    const auto recorded_call = [&] {
        const ProfileScope scope(profile);
        call();
    };
    team.run(recorded_call);
    if (const tools::Accuracy accuracy = workload->check(); tools::is_wrong(accuracy)) {
        state.SkipWithError(fmt::format("wrong result: error {:.1e}", accuracy.engine_error).c_str());
        return;
    }
    std::int64_t tasks = 0;
    for (const RunRecord& run : profile.runs()) tasks += run.tasks;
    if (tasks == 0 || profile.dropped() != 0) {
        state.SkipWithError(fmt::format("{} tasks, {} records dropped", tasks, profile.dropped()).c_str());
        return;
    }

    std::vector<double> off, on;
    team.run([&] {
        for ([[maybe_unused]] auto _ : state) {
            // Whichever comes second finds the caches as the other left them: they take turns.
            const bool first = off.size() % 2 == 0;
            profile.clear();
            if (first) on.push_back(seconds_of(recorded_call));
            off.push_back(seconds_of(call));
            if (!first) on.push_back(seconds_of(recorded_call));
        }
    });
    const double without = median(off), with = median(on);
    state.counters["off_us"] = 1e6 * without;
    state.counters["on_us"] = 1e6 * with;
    state.counters["cost_%"] = 100 * (with / without - 1);
    state.counters["tasks"] = static_cast<double>(tasks);
}

void register_pair(const char* text) {
    const tools::CaseSizes sizes = tools::parse_case(text);
    const int all = cpu_info().usable_cores;
    for (const int threads : all > 1 ? std::vector{1, all} : std::vector{1})
        benchmark::RegisterBenchmark(fmt::format("{}/threads:{}", text, threads).c_str(),
                                     [=](benchmark::State& state) { run_case(state, sizes, threads); })
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond);
}

}  // namespace

void register_benchmarks() {
    // Long tasks; tasks of half a microsecond, as short as any; decode, where each task reads its share of the keys; and products,
    // the smallest of which is one task of a few microseconds.
    for (const char* text :
         {"attention:hq=12,sq=512,d=64", "attention:hq=32,hkv=8,sq=2048,d=128,causal=bottom-right",
          "attention:b=8,hq=12,sq=128,d=64", "attention:b=6,hq=12,sq=15,d=32", "attention:hq=32,hkv=8,sq=1,skv=4096,d=128",
          "matmul:m=64,n=64,k=64", "matmul:m=512,n=768,k=768", "layer:s=512,model=768,heads=12"})
        register_pair(text);
}

}  // namespace headwise::bench
