#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "buffers/float_buffer.hpp"

namespace headwise::tools {

/// Memory to be read again and again by a team of threads, each of which has a contiguous part of its own and goes on where it
/// stopped: the same bytes that a case reads, wherever they lie, in memory or in a cache. Reads nothing itself (MachineProbe).
class ReadSet {
  public:
    /// Of whole granules (1 KiB) at cache lines: what sticks out of them at the ends of a range is left out. Where nothing remains,
    /// a granule of its own takes their place, which is in the first cache as they are.
    explicit ReadSet(std::span<const std::span<const float>> ranges);

    double bytes() const;

    /// To be called before next(), by one thread.
    void prepare(int threads) { cursors_[threads].resize(static_cast<std::size_t>(threads)); }

    /// The next chunk of a thread's part, going round; each thread calls it for itself. Empty for a thread without a part, where
    /// there are fewer chunks than threads.
    std::span<const float> next(int thread, int threads);

    /// Of the variants of reading the fastest one here, by number of threads, where it is known.
    std::map<int, int>& best_variant() { return best_variant_; }

  private:
    FloatBuffer granule_;  // where the ranges have none
    std::vector<std::span<const float>> chunks_;
    struct alignas(64) Cursor {
        std::size_t position = 0;
    };
    std::map<int, std::vector<Cursor>> cursors_;  // by number of threads, of each of them
    std::map<int, int> best_variant_;
};

}  // namespace headwise::tools
