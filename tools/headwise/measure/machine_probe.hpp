#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "buffers/float_buffer.hpp"
#include "headwise/cpu.hpp"
#include "measure/read_set.hpp"
#include "measure/thread_team.hpp"

namespace headwise::tools {

/// The yardsticks: what the cores of a team can do at most, at this moment. Of the kernels' variants the fastest is found out at
/// the first measurement of each team size.
class MachineProbe {
  public:
    /// For the kernels of an available ISA.
    explicit MachineProbe(Isa isa);

    /// FLOPs a second of all threads together, multiply-adds in registers alone, over about `seconds`. In 1e9.
    double multiply_add_gflops(ThreadTeam& team, double seconds);

    /// Bytes a second of all threads together, reading the set again and again, over about `seconds`. In 1e9.
    double read_gigabytes(ThreadTeam& team, ReadSet& set, double seconds);

    /// The best of some measurements: for a report on the machine.
    double best_multiply_add_gflops(ThreadTeam& team);
    /// Of reading memory_bytes(), which the probe keeps from then on.
    double best_read_gigabytes(ThreadTeam& team);
    /// 512 MB, or less where memory is scarce now.
    static double memory_bytes();

    Isa isa() const { return isa_; }

  private:
    double multiply_add_rate(ThreadTeam& team, int variant, double seconds) const;
    double read_rate(ThreadTeam& team, int variant, ReadSet& set, double seconds) const;

    Isa isa_;
    std::map<int, int> best_multiply_add_;  // variant by number of threads
    FloatBuffer buffer_;                    // for best_read_gigabytes(), made at its first call
    std::optional<ReadSet> memory_;         // the buffer
};

/// What a machine can do at several numbers of threads.
struct MachinePeaks {
    Isa isa = Isa::scalar;
    std::vector<int> thread_counts;
    std::map<int, double> multiply_add_gflops, read_gigabytes;  ///< by number of threads
};

MachinePeaks measure_peaks(MachineProbe& probe, std::span<const std::unique_ptr<ThreadTeam>> teams);

}  // namespace headwise::tools
