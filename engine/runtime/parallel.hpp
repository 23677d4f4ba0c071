#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

#include "engine/runtime/profile.hpp"

namespace headwise::runtime {

/// Threads that should work at once in the calling thread's task arena: as many as it has, or where it is of oneTBB's default size
/// (any other was chosen by somebody) no more than the process's quota of processor time feeds. The second form is the rule itself;
/// a quota of 0 is none. The first call reads what machine this is, and may throw std::bad_alloc.
int available_workers();
int available_workers(int arena_size, int default_size, double cpu_quota) noexcept;

/// As many of them as it pays to wake for simple loops that take one thread about so long.
int workers_for(double microseconds);

/// The item that a worker will be given after the present one, where that is known already.
inline constexpr std::int64_t kUnknownItem = -1;

/// Calls body(worker, item, upcoming) once for each item in [0, items), on up to `workers` oneTBB tasks in the calling thread's
/// arena, the caller among them; worker is in [0, workers) and no two calls with the same worker overlap, so it may index scratch
/// memory. Items are drawn in order from one counter: put the costliest first. Which worker gets an item is open; `upcoming` is the
/// one that this worker gets next, or kUnknownItem, so that it may fetch ahead. With one worker or one item no task is made. body
/// must not throw. Returns when all calls have, also where the caller's task group is cancelled; meanwhile the calling thread runs
/// no task that is not of this loop, and workers compute in its floating-point modes. A loop with a description is recorded where
/// the calling thread has a profile.
void for_each_item(int workers, std::int64_t items,
                   void (*body)(void* context, int worker, std::int64_t item, std::int64_t upcoming), void* context,
                   const ItemDescription& description);

template <class Body>
void for_each_item(int workers, std::int64_t items, const Body& body, const ItemDescription& description = {}) {
    for_each_item(
        workers, items,
        [](void* context, int worker, std::int64_t item, std::int64_t upcoming) {
            if constexpr (std::is_invocable_v<const Body&, int, std::int64_t, std::int64_t>)
                (*static_cast<const Body*>(context))(worker, item, upcoming);
            else
                (*static_cast<const Body*>(context))(worker, item);
        },
        const_cast<void*>(static_cast<const void*>(std::addressof(body))), description);
}

/// The same, with what the records are to say of the loop and, by describe(item), of each of its items.
template <class Body, class Describe>
void for_each_item(int workers, std::int64_t items, const Body& body, const char* operation, const Describe& describe) {
    for_each_item(
        workers, items, body,
        {.operation = operation,
         .describe = [](const void* context, std::int64_t item) { return (*static_cast<const Describe*>(context))(item); },
         .context = std::addressof(describe)});
}

}  // namespace headwise::runtime
