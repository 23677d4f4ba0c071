#include "engine/runtime/workspace_pool.hpp"

#include <algorithm>
#include <array>
#include <mutex>
#include <new>
#include <utility>

namespace headwise::runtime {
namespace {

constexpr std::align_val_t kAlignment{64};

struct Buffer {
    std::byte* data = nullptr;
    std::size_t capacity = 0;
};

/// Idle buffers. A fixed number of places: a program that runs more calls at once than that gives the surplus back to the system.
class Pool {
  public:
    /// The smallest idle buffer that is large enough; an empty one if there is none.
    Buffer take(std::size_t bytes) {
        const std::scoped_lock lock(mutex_);
        Buffer* best = nullptr;
        for (Buffer& idle : idle_)
            if (idle.capacity >= bytes && idle.data && (!best || idle.capacity < best->capacity)) best = &idle;
        return best ? std::exchange(*best, {}) : Buffer{};
    }

    /// Keeps the buffer in place of the smallest idle one, and returns that (or the buffer itself), to be freed.
    Buffer give(Buffer buffer) {
        if (buffer.capacity > kMostKept) return buffer;
        const std::scoped_lock lock(mutex_);
        Buffer& smallest =
            *std::min_element(idle_.begin(), idle_.end(), [](const Buffer& a, const Buffer& b) { return a.capacity < b.capacity; });
        if (smallest.capacity < buffer.capacity) std::swap(smallest, buffer);
        return buffer;
    }

    ~Pool() {
        for (const Buffer& idle : idle_) ::operator delete(idle.data, kAlignment);
    }

  private:
    // A call that works in more than this takes so long that getting the memory anew is nothing; kept, it would be lost to
    // everybody else.
    static constexpr std::size_t kMostKept = std::size_t{64} << 20;

    std::mutex mutex_;
    std::array<Buffer, 16> idle_{};
};

Pool& pool() {
    static Pool instance;
    return instance;
}

}  // namespace

PooledWorkspace::PooledWorkspace(std::size_t bytes) : data_(nullptr), size_(bytes), capacity_(0) {
    if (bytes == 0) return;
    Buffer buffer = pool().take(bytes);
    if (!buffer.data) {
        buffer.capacity = (bytes + 4095) & ~std::size_t{4095};
        buffer.data = static_cast<std::byte*>(::operator new(buffer.capacity, kAlignment));
    }
    data_ = buffer.data;
    capacity_ = buffer.capacity;
}

PooledWorkspace::~PooledWorkspace() {
    if (!data_) return;
    const Buffer surplus = pool().give({data_, capacity_});
    ::operator delete(surplus.data, kAlignment);
}

}  // namespace headwise::runtime
