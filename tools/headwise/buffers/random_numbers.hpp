#pragma once

#include <cstddef>
#include <cstdint>

namespace headwise::tools {

/// A stream of random numbers that is the same on every platform (splitmix64).
class RandomNumbers {
  public:
    explicit RandomNumbers(std::uint64_t seed) : state_(seed) {}

    std::uint64_t bits();
    std::int64_t between(std::int64_t low, std::int64_t high);  ///< both included
    bool chance(double probability);
    float normal();  ///< mean 0, deviation 1, within 3.5 of it

    template <class T, std::size_t N>
    const T& one_of(const T (&choices)[N]) {
        return choices[static_cast<std::size_t>(between(0, static_cast<std::int64_t>(N) - 1))];
    }

  private:
    std::uint64_t state_;
};

}  // namespace headwise::tools
