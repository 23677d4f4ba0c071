#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "headwise/tensor.hpp"

namespace headwise::tools {

/// A digest of the bits of results, in the order in which they are added (FNV-1a, 64 bits). All NaNs count as the same: which one
/// an instruction returns depends on the order of its operands, which compilers choose.
class Digest {
  public:
    void add(float x);
    void add(std::int32_t x) { add_word(static_cast<std::uint32_t>(x)); }
    void add(std::uint64_t x);

    template <class T>
    void add(std::span<const T> values) {
        for (const T& x : values) add(x);
    }

    /// Of an AttentionPlan's results and the like: elements in the order of their indices, whatever the strides.
    template <std::size_t Rank>
    void add(const TensorView<float, Rank>& view) {
        add_axis<Rank>(view.data, view, 0);
    }

    std::uint64_t value() const { return value_; }
    std::string text() const;  ///< 16 hexadecimal digits

  private:
    void add_word(std::uint32_t word);

    template <std::size_t Rank>
    void add_axis(const float* at, const TensorView<float, Rank>& view, std::size_t axis) {
        for (std::int64_t i = 0; i < view.extent[axis]; ++i, at += view.stride[axis]) {
            if (axis + 1 == Rank)
                add(*at);
            else
                add_axis(at, view, axis + 1);
        }
    }

    std::uint64_t value_ = 0xcbf29ce484222325;
};

}  // namespace headwise::tools
