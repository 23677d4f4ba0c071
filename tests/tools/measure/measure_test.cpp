#include "measure/measure.hpp"

#include <doctest/doctest.h>
#include <tbb/parallel_for.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

using namespace headwise::tools;

TEST_CASE("quartiles interpolate between the values") {
    CHECK(quartiles({}).median == 0);
    CHECK(quartiles({3}).low == 3);
    CHECK(quartiles({3}).high == 3);
    const Quartiles q = quartiles({5, 1, 4, 2, 3});
    CHECK(q.low == 2);
    CHECK(q.median == 3);
    CHECK(q.high == 4);
    CHECK(quartiles({1, 2}).median == doctest::Approx(1.5));
}

TEST_CASE("a team runs its threads all at once") {
    for (const int threads : {1, 2, 3}) {
        ThreadTeam team(threads);
        std::mutex mutex;
        std::set<std::thread::id> ids;
        std::atomic<int> inside{0}, most{0};
        team.run_together([&](int) {
            const int now_inside = ++inside;
            int seen = most.load();
            while (now_inside > seen && !most.compare_exchange_weak(seen, now_inside)) {
            }
            while (inside.load() < threads) std::this_thread::yield();  // would hang if one thread did two shares
            const std::lock_guard lock(mutex);
            ids.insert(std::this_thread::get_id());
        });
        CHECK(most == threads);
        CHECK(ids.size() == static_cast<std::size_t>(threads));
    }
}

double virtual_time = 0;

TEST_CASE("the engine and the yardstick take turns, the yardstick first and last") {
    constexpr double kCall = 1.0 / 512;  // seconds, by a clock that the engine alone moves
    ThreadTeam team(1);
    std::vector<char> order;
    // A yardstick whose clock goes down: the engine's rate must be compared with the bursts beside it.
    double rate = 200;
    const auto yardstick = [&] {
        order.push_back('y');
        return rate -= 2;
    };
    const auto engine = [&] {
        if (order.empty() || order.back() != 'e') order.push_back('e');
        virtual_time += kCall;
    };
    const Measurement m =
        measure(team, engine, kCall * 100, yardstick,
                {.least_rounds = 7, .seconds = 0, .most_seconds = 1, .burst = 2 * kCall, .clock = [] { return virtual_time; }});
    CHECK(m.rounds == 7);
    CHECK(m.calls_per_round == 2);
    REQUIRE(order.size() == 1 + 2 * 7 + 1);  // the warm-up is the first of the engine's
    for (std::size_t i = 0; i < order.size(); ++i) CHECK(order[i] == (i % 2 == 0 ? 'e' : 'y'));
    CHECK(m.seconds.median == kCall);
    CHECK(m.yardstick == doctest::Approx(191));                // of 198, 196, ..., 184
    CHECK(m.fraction.median == doctest::Approx(100.0 / 191));  // of 100 / 197, 100 / 195, ..., 100 / 185
}
