#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <functional>
#include <span>

namespace headwise {

/// The k largest weights of a row and their keys, as integers in descending order. The high bits hold the weight; they
/// sort like the weights because these are not negative. The low bits hold the key, inverted, so that of equal weights the
/// earliest key comes first. 0: no weight yet. A view of k integers that it does not own.
class TopKeys {
  public:
    TopKeys(std::uint64_t* places, std::int64_t k) : places_(places), k_(k) {}

    void clear() { std::fill_n(places_, k_, std::uint64_t{0}); }

    std::int64_t k() const { return k_; }

    /// The weights of `key` and later keys must exceed this to get a place: of equal weights an earlier key goes first.
    float bound_from(std::int64_t key) const {
        const auto least = static_cast<std::uint32_t>(places_[k_ - 1] >> 32);
        return std::bit_cast<float>(least != 0 && key < this->key(k_ - 1) ? least - 1 : least);
    }
    float weight(std::int64_t i) const { return std::bit_cast<float>(static_cast<std::uint32_t>(places_[i] >> 32)); }
    /// -1 if there is none.
    std::int32_t key(std::int64_t i) const { return places_[i] == 0 ? -1 : static_cast<std::int32_t>(~places_[i]); }

    static std::uint64_t place_of(float weight, std::int32_t key) {
        return std::uint64_t{std::bit_cast<std::uint32_t>(weight)} << 32 | ~static_cast<std::uint32_t>(key);
    }

    /// Inserts the largest of `more`, which it sorts. One pass over the places for all of them: a pass for each would take k steps
    /// per weight where weights rise.
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

/// The order in which a row's `count` parts are searched for its largest weights: the last part first, then parts that halve what
/// is left of the others: 0, 1/2, 1/4, 3/4, ... of the next power of two. If weights rise or fall with the key, only the first two
/// parts then fill the places; if they rise and fall in turns, few parts do.
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
            // Adds 1 to `next` with its bits in reverse order.
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
