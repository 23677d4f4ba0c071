#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace headwise {

/// The k largest weights of a row and their keys, as whole numbers in falling order: the bits of the weight, which are in the order
/// of floats that are not negative, and below them those of the key, turned over, so that of equal weights the earliest counts
/// most. 0: no weight yet. A view of k numbers of somebody's.
class TopKeys {
  public:
    TopKeys(std::uint64_t* places, std::int64_t k) : places_(places), k_(k) {}

    void clear() { std::fill_n(places_, k_, std::uint64_t{0}); }

    std::int64_t k() const { return k_; }

    /// What a weight must exceed to have a place.
    float least() const { return weight(k_ - 1); }
    float weight(std::int64_t i) const { return std::bit_cast<float>(static_cast<std::uint32_t>(places_[i] >> 32)); }
    /// -1 where there is none.
    std::int32_t key(std::int64_t i) const { return places_[i] == 0 ? -1 : static_cast<std::int32_t>(~places_[i]); }

    /// Passes all places and makes no guess: where a weight belongs is open, and a branch that is guessed wrongly costs more than
    /// to look at ten places.
    void insert(float weight, std::int32_t key) {
        std::uint64_t falls = std::uint64_t{std::bit_cast<std::uint32_t>(weight)} << 32 | ~static_cast<std::uint32_t>(key);
        for (std::int64_t i = 0; i < k_; ++i) {
            // The larger stays, the other one goes on. (g++ makes a branch of std::min.)
            const std::uint64_t here = places_[i], other = here < falls ? ~std::uint64_t{0} : 0;
            const std::uint64_t differences = (here ^ falls) & other;
            places_[i] = here ^ differences;
            falls ^= differences;
        }
    }

  private:
    std::uint64_t* places_;
    std::int64_t k_;
};

}  // namespace headwise
