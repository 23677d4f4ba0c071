#pragma once

#include <optional>

#include "profile/record/recording.hpp"

namespace headwise::tools {

/// The efficiencies of the POP project (Performance Optimisation and Productivity), by their names there, against the same call on
/// one thread. 1 is perfect. docs/profile.md tells how to read them.
struct Metrics {
    double load_balance = 1;                                   ///< mean busy / most busy
    double communication_efficiency = 1;                       ///< most busy / runtime = serialization * transfer
    double serialization_efficiency = 1;                       ///< most busy / ideal runtime
    double transfer_efficiency = 1;                            ///< ideal runtime / runtime
    double parallel_efficiency = 1;                            ///< load balance * communication efficiency
    double computation_scaling = 1;                            ///< busy of the one thread / busy of all; above 1 if less in all
    std::optional<double> ipc_scaling{}, frequency_scaling{};  ///< by counters, where there are any
    double global_efficiency = 1;                              ///< parallel efficiency * computation scaling; above 1 where that is
    double speedup = 1;
    std::optional<double> karp_flatt{};  ///< (1/S - 1/p) / (1 - 1/p), the serial fraction as measured; of more than one thread
};

/// Seconds that the tasks would take if each loop's next free worker drew its next task at once, in the order of their starts,
/// plus the time outside the loops. A loop counts for at least the work of its busiest worker: the replay may balance the work
/// better than the run did, and the efficiencies are about the run.
double ideal_seconds(const Recording& recording);

Metrics metrics(const Recording& recording, const Recording& one_thread);

}  // namespace headwise::tools
