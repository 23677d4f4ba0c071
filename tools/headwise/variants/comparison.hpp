#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "measure/machine_probe.hpp"
#include "measure/measure.hpp"
#include "variants/check.hpp"
#include "variants/list.hpp"

namespace headwise::tools {

/// One variant at one number of threads.
struct VariantResult {
    VariantEntry entry;
    int threads = 1;
    double flops = 0;           ///< of one call of the variant
    double yardstick_unit = 0;  ///< GFLOP or, of a bandwidth, GB in one unit of the measurement's yardstick
    Measurement measurement;    ///< none (0 rounds) where the result is wrong, or where the figure has no meaning
    VariantAccuracy accuracy;

    bool measured() const { return measurement.rounds > 0; }
    Quartiles value() const;             ///< of the entry's figure
    std::optional<double> goal() const;  ///< the entry's, where it is one for so many threads
    std::optional<bool> met() const;     ///< by the median; none without a goal
    double gflops() const { return flops / measurement.seconds.median / 1e9; }
    /// Of what it is compared with: GF/s; GB/s of a bandwidth.
    double yardstick() const { return measurement.yardstick * yardstick_unit; }
};

struct VariantComparison : MachinePeaks {
    std::vector<VariantResult> results;  ///< by variant, then by number of threads
};

/// Measures variants at several numbers of threads.
class VariantTimer {
  public:
    explicit VariantTimer(const std::vector<int>& thread_counts);

    /// What the machine can do, measured at once.
    const MachinePeaks& peaks() const { return peaks_; }

    /// Checks the variant and then, unless its result is wrong, times it in turn with what it is compared with: a result for each
    /// number of threads. `before` is called before each.
    std::vector<VariantResult> time(const VariantEntry& entry, const std::function<void(int)>& before = {});

  private:
    void time_beside_plain(const VariantWorkload& w, ThreadTeam& team, VariantResult& result);
    void time_beside_reading(const VariantCall& variant, ThreadTeam& team, VariantResult& result);
    void time_beside_one_thread(const VariantCall& variant, ThreadTeam& team, VariantResult& result);

    MachineProbe probe_;
    std::vector<std::unique_ptr<ThreadTeam>> teams_;
    ThreadTeam one_thread_{1};  // behind the others, whose limits it keeps
    MachinePeaks peaks_;
};

}  // namespace headwise::tools
