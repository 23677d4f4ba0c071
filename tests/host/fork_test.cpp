// Calls in a child that a process forks after it has run calls of its own: none of the parent's other threads is there.
#include <doctest/doctest.h>
#include <oneapi/tbb/task_arena.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <thread>
#include <vector>

#include "headwise/headwise.hpp"
#include "tests/host/attention_inputs.hpp"

namespace headwise::test {
namespace {

constexpr unsigned kPatience = 60;  // seconds after which a child that waits for somebody who is not there is ended

/// What attention, a product and a layer give.
struct Results {
    std::vector<float> attention, product, layer;

    bool operator==(const Results&) const = default;
};

Results results_of(const SmallAttention& small, const SmallLayer& layer) {
    constexpr std::int64_t kRows = 256, kSize = 512;
    Results r{std::vector<float>(small.query.size()), std::vector<float>(kRows * kSize), std::vector<float>(small.query.size())};
    attention(small.arguments(r.attention));
    matmul({small.query.data(), {kRows, kSize}}, transposed(TensorView<const float, 2>(small.key.data(), {kSize, kSize})),
           {r.product.data(), {kRows, kSize}});
    layer.forward(r.layer);
    return r;
}

/// Whether a child's calls end, with the bits of `expected`.
bool child_computes(const SmallAttention& small, const SmallLayer& layer, const Results& expected) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(kPatience);
        const bool right = results_of(small, layer) == expected && results_of(small, layer) == expected;
        _exit(right ? 0 : 1);
    }
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_CASE("a child forked after a parallel run computes the same") {
    const SmallAttention small;
    const SmallLayer layer(small);
    Results expected;
    tbb::task_arena(1).execute([&] { expected = results_of(small, layer); });
    for (int i = 0; i < 20; ++i) {
        const Results own = results_of(small, layer);
        // oneTBB's threads are busy, on their way to sleep, or asleep.
        std::this_thread::sleep_for(std::chrono::milliseconds(i % 4 * 3));
        CHECK(child_computes(small, layer, expected));
        CHECK(own == expected);
    }
}

}  // namespace
}  // namespace headwise::test
