// A call that waits for its workers, with other work of the caller's ready to be taken: the waiting thread must leave it alone.
#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "tests/host/attention_inputs.hpp"
#include "tests/support/same_floats.hpp"

namespace headwise::test {
namespace {

// Also where there are fewer cores.
const tbb::global_control allow_threads(tbb::global_control::max_allowed_parallelism, 8);

/// Whether the condition came true before nothing had changed for so long that nothing will. `progress` counts what changes.
template <class Condition>
bool wait_for(const Condition& condition, const std::atomic<std::int64_t>& progress) {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::milliseconds kStill{300};
    std::int64_t seen = progress;
    for (Clock::time_point last = Clock::now(); !condition();) {
        std::this_thread::yield();
        if (const std::int64_t now = progress; now != seen) {
            seen = now;
            last = Clock::now();
        } else if (Clock::now() - last > kStill) {
            return false;
        }
    }
    return true;
}

/// A call on three threads, held up where it is sure to wait. The caller runs its share of the items. A worker of oneTBB's gets the
/// other share and does not go on with its first item before the caller has taken another task, or has been idle for long. A third
/// thread offers these tasks: it has them in its queue, where whoever has nothing to do may steal them, and only looks on.
struct HeldCall {
    std::thread::id caller = std::this_thread::get_id();
    std::chrono::steady_clock::time_point end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    std::atomic<std::int64_t> progress = 0;  // of the caller within its call
    std::atomic<bool> held = false, offered = false, released = false, taken_by_caller = false;

    /// No longer than to the end, so that a fault shows as one and not as a test that hangs.
    void wait_for_flag(const std::atomic<bool>& flag) const {
        while (!flag && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    }

    /// From within the loop's items, by the score function.
    void in_item() {
        if (std::this_thread::get_id() == caller) {
            ++progress;
            wait_for_flag(held);
        } else if (!held.exchange(true)) {
            wait_for_flag(offered);
            wait_for([&] { return taken_by_caller.load(); }, progress);
            released = true;
        }
    }

    void offer_tasks(tbb::task_arena& arena) {
        arena.execute([&] {
            wait_for_flag(held);
            tbb::task_group tasks;
            for (int i = 0; i < 4; ++i)
                tasks.run([&] {
                    // Only in the middle of its call is there work that the caller may take.
                    if (std::this_thread::get_id() == caller) taken_by_caller = true;
                });
            offered = true;
            wait_for_flag(released);
            tasks.wait();
        });
    }
};

/// Scores as they are.
struct HoldingFunction {
    HeldCall* call;
    template <class T>
    T operator()(T score, std::int64_t, std::int64_t, std::int64_t, std::int64_t key) const {
        if (key == 0) call->in_item();
        return score;
    }
};

TEST_CASE("a call that waits for its workers starts no other task of its caller's") {
    const SmallAttention inputs;
    const std::vector<float> expected = inputs.on_one_thread();
    std::vector<float> out(expected.size());
    HeldCall call;
    const HoldingFunction function{&call};
    AttentionArguments arguments = inputs.arguments(out);
    arguments.score_function = score_function(function);
    tbb::task_arena arena(3, 2);  // two places for threads of the program's, one for a worker of oneTBB's
    std::thread other([&] { call.offer_tasks(arena); });
    arena.execute([&] { attention(arguments); });
    other.join();
    CHECK(call.held);
    CHECK_FALSE(call.taken_by_caller);
}

}  // namespace
}  // namespace headwise::test
