#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace headwise::runtime {

/// Threads that may work at once in the calling thread's task arena.
int available_workers() noexcept;

/// Calls body(worker, item) once for each item in [0, items), on up to `workers` oneTBB tasks in the calling thread's arena, the caller among
/// them; worker is in [0, workers) and no two calls with the same worker overlap, so it may index scratch memory. Items are drawn in order from
/// one counter: put the costliest first. Which worker gets an item is open. With one worker or one item no task is made.
/// body must not throw. Returns when all calls have.
void for_each_item(int workers, std::int64_t items, void (*body)(void* context, int worker, std::int64_t item), void* context);

template <class Body>
void for_each_item(int workers, std::int64_t items, const Body& body) {
    for_each_item(
        workers, items, [](void* context, int worker, std::int64_t item) { (*static_cast<const Body*>(context))(worker, item); },
        const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

}  // namespace headwise::runtime
