#include "engine/runtime/process_end.hpp"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace headwise::runtime {
namespace {

// None has a destructor: threads that outlive main() look at them to the last.
constinit std::atomic<bool> ending = false;
constinit std::atomic<bool> used = false;      // oneTBB, by any loop yet
constinit std::atomic<bool> orphaned = false;  // a child of a process in which it was
constinit std::atomic<int> uses = 0;
constinit thread_local int uses_of_this_thread = 0;  // what it is in the middle of when a task of it calls exit()

constexpr auto kPatience = std::chrono::seconds(1);

/// At the end of the process, before oneTBB's own destructors: those of what is linked go last.
struct EndOfProcess {
    // Of the parent's threads a child has the calling one alone.
    EndOfProcess() {
        pthread_atfork(nullptr, nullptr, [] {
            uses = uses_of_this_thread;
            orphaned = used.load();
        });
    }
    ~EndOfProcess() {
        ending = true;
        const auto start = std::chrono::steady_clock::now();
        while (uses > uses_of_this_thread && std::chrono::steady_clock::now() - start < kPatience)
            std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
};
const EndOfProcess end_of_process;

}  // namespace

bool may_use_workers() noexcept {
    return !ending.load(std::memory_order_relaxed) && !orphaned.load(std::memory_order_relaxed);
}

// In this order: either the end sees the use, or the use sees the end.
WorkerUse::WorkerUse() noexcept : allowed_(false) {
    uses.fetch_add(1);
    ++uses_of_this_thread;
    allowed_ = !ending && !orphaned;
    if (!allowed_)
        give_back();
    else if (!used)
        used = true;
}

WorkerUse::~WorkerUse() {
    if (allowed_) give_back();
}

void WorkerUse::give_back() noexcept {
    --uses_of_this_thread;
    uses.fetch_sub(1);
}

}  // namespace headwise::runtime
