#pragma once

#include <cstddef>
#include <span>

namespace headwise::runtime {

/// A buffer borrowed from the process-wide pool, for the calls that are not given one; it goes back when this goes out of scope.
/// The pool keeps what it has handed out, so that repeated calls of one size allocate nothing. Thread-safe. Content is undefined;
/// aligned to a cache line.
class PooledWorkspace {
  public:
    explicit PooledWorkspace(std::size_t bytes);  ///< throws std::bad_alloc
    ~PooledWorkspace();
    PooledWorkspace(const PooledWorkspace&) = delete;
    PooledWorkspace& operator=(const PooledWorkspace&) = delete;

    std::span<std::byte> bytes() const noexcept { return {data_, size_}; }

  private:
    std::byte* data_;
    std::size_t size_;      // as asked for
    std::size_t capacity_;  // as allocated
};

}  // namespace headwise::runtime
