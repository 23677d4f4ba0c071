#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <functional>
#include <span>

namespace headwise {

/// The k largest weights of a row and their keys, as whole numbers in falling order: the bits of the weight, which are in the order
/// of floats that are not negative, and below them those of the key, turned over, so that of equal weights the earliest counts
/// most. 0: no weight yet. A view of k numbers of somebody's.
class TopKeys {
  public:
    TopKeys(std::uint64_t* places, std::int64_t k) : places_(places), k_(k) {}

    void clear() { std::fill_n(places_, k_, std::uint64_t{0}); }

    std::int64_t k() const { return k_; }

    /// What the weights of that key and later ones must exceed to have a place: of equal ones an earlier key goes first.
    float bound_from(std::int64_t key) const {
        const auto least = static_cast<std::uint32_t>(places_[k_ - 1] >> 32);
        return std::bit_cast<float>(least != 0 && key < this->key(k_ - 1) ? least - 1 : least);
    }
    float weight(std::int64_t i) const { return std::bit_cast<float>(static_cast<std::uint32_t>(places_[i] >> 32)); }
    /// -1 where there is none.
    std::int32_t key(std::int64_t i) const { return places_[i] == 0 ? -1 : static_cast<std::int32_t>(~places_[i]); }

    static std::uint64_t place_of(float weight, std::int32_t key) {
        return std::uint64_t{std::bit_cast<std::uint32_t>(weight)} << 32 | ~static_cast<std::uint32_t>(key);
    }

    /// Gives places to the largest of `more`, which it sorts. One pass over the places for all of them: one for each would take k
    /// steps a weight where weights rise.
    void insert(std::span<std::uint64_t> more) {
        std::ranges::sort(more, std::greater<>());
        std::int64_t old = k_, fresh = std::ssize(more);
        const auto fresh_is_less = [&] { return old == 0 || more[static_cast<std::size_t>(fresh - 1)] < places_[old - 1]; };
        while (old + fresh > k_) --(fresh_is_less() ? fresh : old);
        while (fresh > 0) {
            const std::int64_t last = old + fresh - 1;
            places_[last] = fresh_is_less() ? more[static_cast<std::size_t>(--fresh)] : places_[--old];
        }
    }

  private:
    std::uint64_t* places_;
    std::int64_t k_;
};

/// The order in which a row's parts, `count` of them, are looked at for its largest weights: the last one, then those that halve
/// what is left of the others, 0, 1/2, 1/4, 3/4, ... of the next power of two. Where weights rise or fall with the key, only the
/// first two parts then fill the places; where they rise and fall by turns, few do.
class TopOrder {
  public:
    explicit TopOrder(std::int64_t count)
        : last_(static_cast<std::uint64_t>(count - 1)), end_(std::bit_ceil(static_cast<std::uint64_t>(count - 1))) {}

    std::int64_t first() const { return static_cast<std::int64_t>(last_); }

    /// The one after `i`; there must be one.
    std::int64_t after(std::int64_t i) const {
        auto next = static_cast<std::uint64_t>(i);
        if (next == last_) return 0;
        do {
            // next + 1, its bits read from the lowest to the highest.
            std::uint64_t bit = end_ / 2;
            for (; (next & bit) != 0; bit /= 2) next ^= bit;
            next |= bit;
        } while (next >= last_);
        return static_cast<std::int64_t>(next);
    }

  private:
    std::uint64_t last_, end_;
};

}  // namespace headwise
