#pragma once

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

namespace headwise::test {

/// Calls check() in an arena of one slot, in one of `threads`, in each within each, and where oneTBB may use one thread alone.
template <class Check>
void in_every_arena(int threads, const Check& check) {
    tbb::task_arena one(1), many(threads);
    one.execute(check);
    many.execute(check);
    one.execute([&] { many.execute(check); });
    many.execute([&] { one.execute(check); });
    many.execute([&] { many.execute(check); });
    const tbb::global_control one_thread(tbb::global_control::max_allowed_parallelism, 1);
    check();
    many.execute(check);
}

}  // namespace headwise::test
