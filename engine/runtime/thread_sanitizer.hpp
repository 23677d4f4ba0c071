#pragma once

// What ThreadSanitizer cannot see for itself: orders that code makes which is not compiled for it, as libtbb is not. Without the
// sanitizer none of this is there.

#if defined(__SANITIZE_THREAD__)
#define HEADWISE_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HEADWISE_THREAD_SANITIZER 1
#endif
#endif

#ifdef HEADWISE_THREAD_SANITIZER
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
/// A function whose own reads and writes are not watched; those of functions it calls are.
#define HEADWISE_UNWATCHED __attribute__((no_sanitize("thread"), noinline))
#else
#define HEADWISE_UNWATCHED
#endif

namespace headwise::runtime {

/// What this thread has done so far is seen by whoever calls acquire_order() with the same address later.
inline void release_order([[maybe_unused]] const void* address) noexcept {
#ifdef HEADWISE_THREAD_SANITIZER
    __tsan_release(const_cast<void*>(address));
#endif
}

inline void acquire_order([[maybe_unused]] const void* address) noexcept {
#ifdef HEADWISE_THREAD_SANITIZER
    __tsan_acquire(const_cast<void*>(address));
#endif
}

}  // namespace headwise::runtime
