// A program with a data race between two items of one loop, which ThreadSanitizer must report with the suppressions of the tests.
// The items meet on two threads and run one after the other, in an order that nothing but timing makes: were anything of the loop
// to hide races, such as the counter that items are drawn from or a suppression, it would hide this one.
#include <oneapi/tbb/global_control.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <thread>

#include "engine/runtime/parallel.hpp"

namespace {

int written_by_two_items = 0;

[[gnu::noinline]] void write_shared(int x) {
    written_by_two_items = x;
}

// Relaxed: they order nothing.
std::atomic<bool> started[4];

void wait_for(int item) {
    while (!started[item].load(std::memory_order_relaxed)) std::this_thread::yield();
}

}  // namespace

int main() {
    const oneapi::tbb::global_control two_threads(oneapi::tbb::global_control::max_allowed_parallelism, 2);
    headwise::runtime::for_each_item(2, 4, [](int, std::int64_t item) {
        started[item].store(true, std::memory_order_relaxed);
        switch (item) {
            case 0:  // one thread
                wait_for(1);
                write_shared(0);
                break;
            case 1:  // the other one, until the first has drawn its next item
                wait_for(2);
                break;
            case 2:  // the first one again
                wait_for(3);
                break;
            default:  // the other one again
                write_shared(3);
        }
    });
    std::printf("done, %d\n", written_by_two_items);
}
