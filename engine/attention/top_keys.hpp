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

    /// Nothing happens to weights that do not exceed least(). (To pass all places without a branch takes as long, for ten of
    /// them.)
    void insert(float weight, std::int32_t key) {
        const std::uint64_t x = std::uint64_t{std::bit_cast<std::uint32_t>(weight)} << 32 | ~static_cast<std::uint32_t>(key);
        if (x <= places_[k_ - 1]) return;
        std::int64_t i = k_ - 1;
        for (; i > 0 && places_[i - 1] < x; --i) places_[i] = places_[i - 1];
        places_[i] = x;
    }

  private:
    std::uint64_t* places_;
    std::int64_t k_;
};

}  // namespace headwise
