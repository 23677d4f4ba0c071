#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "tests/support/guarded_memory.hpp"

namespace headwise::test {

/// An array that touches an inaccessible page with its first or last element.
template <class T>
class GuardedArray {
  public:
    GuardedArray() = default;  ///< null
    GuardedArray(std::int64_t size, T filler, Guard guard = Guard::above)
        : memory_(std::in_place, static_cast<std::size_t>(size) * sizeof(T), guard) {
        std::ranges::fill(all(), filler);
    }

    T* data() const { return memory_ ? reinterpret_cast<T*>(memory_->data()) : nullptr; }
    std::span<T> all() const { return {data(), memory_ ? memory_->size() / sizeof(T) : 0}; }
    T& operator[](std::int64_t i) const { return data()[i]; }

  private:
    std::optional<GuardedMemory> memory_;
};

}  // namespace headwise::test
