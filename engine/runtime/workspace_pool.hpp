#pragma once

#include <cstddef>
#include <span>

namespace headwise::runtime {

/// Bytes that the pool holds while nobody uses them, at most.
inline constexpr std::size_t kMostIdleWorkspace = std::size_t{128} << 20;

/// What it holds now.
std::size_t idle_workspace() noexcept;

/// A buffer borrowed from the process-wide pool, for the calls that are not given one; it goes back when this goes out of scope.
/// The pool keeps up to kMostIdleWorkspace of what came back, so that repeated calls that need no more allocate nothing. Works at
/// any time in the life of the process, in static destructors and atexit handlers too. Thread-safe. Content is undefined; aligned
/// to a cache line.
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
