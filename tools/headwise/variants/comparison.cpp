#include "variants/comparison.hpp"

namespace headwise::tools {
namespace {

// A goal of 1 % asks for many turns, not for long ones: a median of 20 is steady where a neighbour takes the cores for a moment. A
// case that takes most of a second for a call has 3. All variants together take about 100 s.
constexpr double kBurst = 0.02;
constexpr MeasureLimits kLimits{.least_rounds = 9, .seconds = 0.8, .most_seconds = 3, .burst = kBurst};

/// Calls a second, over a burst.
double call_rate(ThreadTeam& team, const std::function<void()>& call) {
    return team.run([&] {
        const double start = now();
        double elapsed = 0;
        int calls = 0;
        while (elapsed < kBurst) {
            call();
            ++calls;
            elapsed = now() - start;
        }
        return calls / elapsed;
    });
}

std::function<void()> prepare_for(ThreadTeam& team, const VariantCall& call) {
    return team.run([&] { return prepare(call); });
}

}  // namespace

Quartiles VariantResult::value() const {
    const Quartiles& f = measurement.fraction;
    if (entry.figure != Figure::extra_time) return f;
    return {1 / f.high - 1, 1 / f.median - 1, 1 / f.low - 1};
}

std::optional<double> VariantResult::goal() const {
    return threads >= entry.goal_threads ? entry.goal : std::nullopt;
}

std::optional<bool> VariantResult::met() const {
    const std::optional<double> limit = goal();
    if (!limit || accuracy.wrong()) return limit ? std::optional(false) : std::nullopt;
    if (!measured()) return std::nullopt;
    return less_is_better(entry.figure) ? value().median <= *limit : value().median >= *limit;
}

VariantTimer::VariantTimer(const std::vector<int>& thread_counts) : probe_(active_isa()), teams_(thread_teams(thread_counts)) {
    peaks_ = measure_peaks(probe_, teams_);
}

std::vector<VariantResult> VariantTimer::time(const VariantEntry& entry, const std::function<void(int)>& before) {
    const VariantWorkload workload = entry.make();
    const VariantCall& variant = workload.variant;
    prepare_for(*teams_.back(), variant)();
    const VariantAccuracy accuracy = check_call(variant);

    std::vector<VariantResult> results;
    for (const auto& team : teams_) {
        if (before) before(team->threads());
        VariantResult& result = results.emplace_back();
        result.entry = entry;
        result.threads = team->threads();
        result.flops = variant.flops();
        result.accuracy = accuracy;
        if (accuracy.wrong()) continue;
        if (entry.figure == Figure::bandwidth)
            time_beside_reading(variant, *team, result);
        else if (entry.figure == Figure::thread_speedup)
            time_beside_one_thread(variant, *team, result);
        else
            time_beside_plain(workload, *team, result);
    }
    return results;
}

/// The unit of work is a FLOP where rates are compared, else a call.
void VariantTimer::time_beside_plain(const VariantWorkload& w, ThreadTeam& team, VariantResult& result) {
    const auto plain = prepare_for(team, w.plain);
    const bool by_flops = result.entry.figure == Figure::flop_rate;
    const double plain_flops = w.plain.flops(), unit = by_flops ? plain_flops : 1, work = by_flops ? result.flops : 1;
    result.yardstick_unit = plain_flops / unit / 1e9;
    result.measurement = measure(team, prepare_for(team, w.variant), work, [&] { return unit * call_rate(team, plain); }, kLimits);
}

void VariantTimer::time_beside_reading(const VariantCall& variant, ThreadTeam& team, VariantResult& result) {
    ReadSet operands(variant.operands());
    result.yardstick_unit = 1;
    result.measurement = measure(
        team, prepare_for(team, variant), variant.read_bytes() / 1e9, [&] { return probe_.read_gigabytes(team, operands, kBurst); },
        kLimits);
}

void VariantTimer::time_beside_one_thread(const VariantCall& variant, ThreadTeam& team, VariantResult& result) {
    if (team.threads() == 1) return;
    const auto alone = prepare_for(one_thread_, variant);
    result.yardstick_unit = result.flops / 1e9;
    result.measurement = measure(team, prepare_for(team, variant), 1, [&] { return call_rate(one_thread_, alone); }, kLimits);
}

}  // namespace headwise::tools
