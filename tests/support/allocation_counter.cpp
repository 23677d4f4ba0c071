// Counts heap allocations of the whole process, shared libraries included. glibc lets a program define malloc and its relatives,
// and offers its own under other names. A sanitizer has an allocator of its own, and calls a hook.
#include "tests/support/allocation_counter.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>

namespace {
std::atomic<std::int64_t> count{0};
thread_local std::int64_t count_of_this_thread = 0;

void count_one() noexcept {
    count.fetch_add(1, std::memory_order_relaxed);
    ++count_of_this_thread;
}
}  // namespace

std::int64_t headwise::test::allocations() noexcept {
    return count.load();
}

std::int64_t headwise::test::allocations_of_this_thread() noexcept {
    return count_of_this_thread;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(HEADWISE_SANITIZED)

extern "C" void __sanitizer_malloc_hook(const volatile void*, std::size_t) {
    count_one();
}
extern "C" void __sanitizer_free_hook(const volatile void*) {}

#else

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) {
    count_one();
    return __libc_malloc(size);
}

void* calloc(std::size_t number, std::size_t size) {
    count_one();
    return __libc_calloc(number, size);
}

void* realloc(void* old, std::size_t size) {
    count_one();
    return __libc_realloc(old, size);
}

void* memalign(std::size_t alignment, std::size_t size) {
    count_one();
    return __libc_memalign(alignment, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) {
    return memalign(alignment, size);
}

int posix_memalign(void** result, std::size_t alignment, std::size_t size) {
    *result = memalign(alignment, size);
    return *result ? 0 : ENOMEM;
}
}

#endif
