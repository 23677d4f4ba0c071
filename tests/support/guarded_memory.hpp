#pragma once

#include <cstddef>

namespace headwise::test {

/// Which end of the data touches an inaccessible page. The other end is followed (preceded) by less than a page of filler and then
/// by another inaccessible page.
enum class Guard { below, above };

/// Memory between two inaccessible pages: an access beyond the guarded end by even one byte ends the program.
class GuardedMemory {
  public:
    GuardedMemory(std::size_t bytes, Guard guard);
    ~GuardedMemory();
    GuardedMemory(GuardedMemory&& other) noexcept;
    GuardedMemory& operator=(GuardedMemory&& other) noexcept;

    std::byte* data() const { return data_; }
    std::size_t size() const { return size_; }

  private:
    std::byte* mapping_ = nullptr;
    std::size_t mapped_ = 0;
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace headwise::test
