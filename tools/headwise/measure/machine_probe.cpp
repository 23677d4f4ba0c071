#include "measure/machine_probe.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

#include "buffers/memory_limit.hpp"
#include "engine/kernels/kernel_table.hpp"

namespace headwise::tools {
namespace {

constexpr std::int64_t kIterations = 20'000;  // of a multiply-add loop, between two looks at the clock: some 50 to 200 us
constexpr int kReadsAtOnce = 4;               // chunks of 1 KiB to 1 MiB, between two looks at the clock
constexpr double kLargestRead = 512 << 20;
constexpr double kSmallestRead = 16 << 20;

/// What a thread did, on a cache line of its own.
struct alignas(64) ThreadShare {
    double work = 0, seconds = 0;
};

/// The rates of the threads added up: they run at the same time, and each is timed on its own, so that one that ends a little later
/// than the others takes nothing away.
double sum_of_rates(const std::vector<ThreadShare>& shares) {
    double rate = 0;
    for (const ThreadShare& share : shares) rate += share.work / share.seconds;
    return rate;
}

/// Repeats step(), which returns the work it did, for `seconds`.
template <class Step>
ThreadShare repeat(double seconds, Step step) {
    ThreadShare share;
    const double start = now();
    do {
        share.work += step();
        share.seconds = now() - start;
    } while (share.seconds < seconds);
    return share;
}

}  // namespace

MachineProbe::MachineProbe(Isa isa) : isa_(isa) {}

double MachineProbe::multiply_add_rate(ThreadTeam& team, int variant, double seconds) const {
    const auto run = kernel_table(isa_).peak.multiply_add[variant].run;
    std::vector<ThreadShare> shares(static_cast<std::size_t>(team.threads()));
    team.run_together([&](int thread) {
        alignas(64) float state[20] = {-1.0f, 0.37f, 0.11f};
        shares[static_cast<std::size_t>(thread)] = repeat(seconds, [&] { return run(kIterations, state); });
    });
    return sum_of_rates(shares) / 1e9;
}

double MachineProbe::read_rate(ThreadTeam& team, int variant, ReadSet& set, double seconds) const {
    const auto run = kernel_table(isa_).peak.read[variant].run;
    std::vector<ThreadShare> shares(static_cast<std::size_t>(team.threads()));
    set.prepare(team.threads());
    team.run_together([&](int thread) {
        alignas(64) float sums[16];
        shares[static_cast<std::size_t>(thread)] = repeat(seconds, [&] {
            double bytes = 0;
            for (int i = 0; i < kReadsAtOnce; ++i) {
                const std::span<const float> chunk = set.next(thread, team.threads());
                if (chunk.empty()) break;
                run(chunk.data(), static_cast<std::int64_t>(chunk.size()), sums);
                bytes += static_cast<double>(chunk.size_bytes());
            }
            return bytes;
        });
    });
    return sum_of_rates(shares) / 1e9;
}

double MachineProbe::multiply_add_gflops(ThreadTeam& team, double seconds) {
    const auto [best, unknown] = best_multiply_add_.try_emplace(team.threads(), 0);
    if (unknown) {
        double highest = 0;
        for (int round = 0; round < 3; ++round) {
            for (int variant = 0; variant < std::ssize(kernel_table(isa_).peak.multiply_add); ++variant) {
                const double rate = multiply_add_rate(team, variant, 0.003);
                if (rate > highest) highest = rate, best->second = variant;
            }
        }
    }
    return multiply_add_rate(team, best->second, seconds);
}

double MachineProbe::read_gigabytes(ThreadTeam& team, ReadSet& set, double seconds) {
    const auto [best, unknown] = set.best_variant().try_emplace(team.threads(), 0);
    if (unknown) {
        double highest = 0;
        for (int round = 0; round < 2; ++round) {
            for (int variant = 0; variant < std::ssize(kernel_table(isa_).peak.read); ++variant) {
                const double rate = read_rate(team, variant, set, 0.01);
                if (rate > highest) highest = rate, best->second = variant;
            }
        }
    }
    return read_rate(team, best->second, set, seconds);
}

double MachineProbe::best_multiply_add_gflops(ThreadTeam& team) {
    double best = 0;
    for (int round = 0; round < 20; ++round) best = std::max(best, multiply_add_gflops(team, 0.005));
    return best;
}

double MachineProbe::memory_bytes() {
    return std::clamp(available_memory() / 4, kSmallestRead, kLargestRead);
}

double MachineProbe::best_read_gigabytes(ThreadTeam& team) {
    if (!memory_) {
        buffer_ = FloatBuffer(static_cast<std::int64_t>(memory_bytes() / sizeof(float)));
        memory_.emplace(std::array{std::span<const float>(buffer_.span())});
    }
    double best = 0;
    for (int round = 0; round < 10; ++round) best = std::max(best, read_gigabytes(team, *memory_, 0.03));
    return best;
}

MachinePeaks measure_peaks(MachineProbe& probe, std::span<const std::unique_ptr<ThreadTeam>> teams) {
    MachinePeaks peaks{.isa = probe.isa(), .thread_counts = {}, .multiply_add_gflops = {}, .read_gigabytes = {}};
    for (const auto& team : teams) {
        peaks.thread_counts.push_back(team->threads());
        peaks.multiply_add_gflops[team->threads()] = probe.best_multiply_add_gflops(*team);
        peaks.read_gigabytes[team->threads()] = probe.best_read_gigabytes(*team);
    }
    return peaks;
}

}  // namespace headwise::tools
