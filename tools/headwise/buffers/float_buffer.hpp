#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace headwise::tools {

/// Memory for a benchmark's tensor: on huge pages where the system grants them (so that a measurement is of the memory, not of the
/// address translation), first touched by the worker threads, zeroed. Never empty: data() is valid even for no elements.
class FloatBuffer {
  public:
    FloatBuffer() = default;
    /// Throws UsageError when the size overflows or the memory is not to be had.
    explicit FloatBuffer(std::int64_t size);
    FloatBuffer(FloatBuffer&& other) noexcept;
    FloatBuffer& operator=(FloatBuffer&& other) noexcept;
    ~FloatBuffer();

    float* data() const { return data_; }
    std::int64_t size() const { return size_; }
    std::span<float> span() const { return {data_, static_cast<std::size_t>(size_)}; }

  private:
    float* data_ = nullptr;
    std::int64_t size_ = 0;
    void* mapping_ = nullptr;
    std::size_t mapped_bytes_ = 0;
};

/// Fills with values of mean 0, variance 1 and a bell shape, a function of seed and position alone.
void fill_random(std::span<float> values, std::uint64_t seed);

}  // namespace headwise::tools
