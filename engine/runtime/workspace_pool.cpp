#include "engine/runtime/workspace_pool.hpp"

#include <pthread.h>

#include <array>
#include <mutex>
#include <new>
#include <type_traits>
#include <utility>

#include "engine/layout/cache_line.hpp"

namespace headwise::runtime {
namespace {

constexpr std::align_val_t kAlignment{kCacheLine};

struct Buffer {
    std::byte* data = nullptr;
    std::size_t capacity = 0;
};

/// Idle buffers, in a fixed number of places. It has no destructor: calls from static destructors and atexit handlers find it as it
/// was.
class Pool {
  public:
    /// The smallest idle buffer that is large enough; an empty one if there is none.
    Buffer take(std::size_t bytes) {
        const std::scoped_lock lock(mutex_);
        Buffer* best = nullptr;
        for (Buffer& idle : idle_)
            if (idle.capacity >= bytes && idle.data && (!best || idle.capacity < best->capacity)) best = &idle;
        if (!best) return {};
        total_ -= best->capacity;
        return std::exchange(*best, {});
    }

    /// Keeps the buffer. Small idle ones go first where there is no room: a large one serves small requests, too.
    void give(Buffer buffer) {
        while (buffer.data) {
            const Buffer surplus = keep(buffer);
            ::operator delete(surplus.data, kAlignment);
        }
    }

    /// Frees what is idle, and from now on what comes back.
    void close() {
        const std::scoped_lock lock(mutex_);
        for (Buffer& idle : idle_) ::operator delete(std::exchange(idle, {}).data, kAlignment);
        total_ = 0;
        closed_ = true;
    }

    std::size_t idle() {
        const std::scoped_lock lock(mutex_);
        return total_;
    }

    void lock() { mutex_.lock(); }
    void unlock() { mutex_.unlock(); }

  private:
    /// Keeps the buffer, which is empty then, or makes room for it. Returns what is to be freed, outside of the lock.
    Buffer keep(Buffer& buffer) {
        const std::scoped_lock lock(mutex_);
        if (closed_ || buffer.capacity > kMostIdleWorkspace) return std::exchange(buffer, {});
        Buffer* smallest = nullptr;
        Buffer* free = nullptr;
        for (Buffer& idle : idle_) {
            if (!idle.data)
                free = &idle;
            else if (!smallest || idle.capacity < smallest->capacity)
                smallest = &idle;
        }
        if (free && total_ + buffer.capacity <= kMostIdleWorkspace) {
            total_ += buffer.capacity;
            *free = std::exchange(buffer, {});
            return {};
        }
        if (smallest->capacity >= buffer.capacity) return std::exchange(buffer, {});
        total_ -= smallest->capacity;
        return std::exchange(*smallest, {});
    }

    std::mutex mutex_;
    std::array<Buffer, 16> idle_{};
    std::size_t total_ = 0;
    bool closed_ = false;
};
static_assert(std::is_trivially_destructible_v<Pool>);

constinit Pool pool;

/// Gives memory back when the library is unloaded or the process ends. Nobody else is within the pool while the process forks, or a
/// child would find it locked for good.
struct PoolGuard {
    PoolGuard() {
        pthread_atfork([] { pool.lock(); }, [] { pool.unlock(); }, [] { pool.unlock(); });
    }
    ~PoolGuard() { pool.close(); }
};
const PoolGuard pool_guard;

}  // namespace

std::size_t idle_workspace() noexcept {
    return pool.idle();
}

PooledWorkspace::PooledWorkspace(std::size_t bytes) : data_(nullptr), size_(bytes), capacity_(0) {
    if (bytes == 0) return;
    Buffer buffer = pool.take(bytes);
    if (!buffer.data) {
        buffer.capacity = (bytes + 4095) & ~std::size_t{4095};
        buffer.data = static_cast<std::byte*>(::operator new(buffer.capacity, kAlignment));
    }
    data_ = buffer.data;
    capacity_ = buffer.capacity;
}

PooledWorkspace::~PooledWorkspace() {
    if (!data_) return;
    pool.give({data_, capacity_});
}

}  // namespace headwise::runtime
