// Calls in a child that a process forks after it has run calls of its own: none of the parent's other threads is there.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>
#include <vector>

#include "headwise/headwise.hpp"
#include "tests/host/attention_inputs.hpp"

namespace headwise::test {
namespace {

constexpr unsigned kPatience = 60;  // seconds after which a child that waits for somebody who is not there is ended

/// Whether a child's attention, product and layer end, with the bits of `expected`.
bool child_computes(const SmallAttention& small, const std::vector<float>& expected) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(kPatience);
        std::vector<float> out(expected.size());
        attention(small.arguments(out));
        bool right = out == expected;
        matmul({small.query.data(), {256, 512}}, transposed(TensorView<const float, 2>(small.key.data(), {512, 512})),
               {out.data(), {256, 512}});
        attention(small.arguments(out));
        right = right && out == expected;
        _exit(right ? 0 : 1);
    }
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_CASE("a child forked after a parallel run computes the same") {
    const SmallAttention small;
    const std::vector<float> expected = small.on_one_thread();
    for (int i = 0; i < 20; ++i) {
        std::vector<float> out(expected.size());
        attention(small.arguments(out));
        // oneTBB's threads are busy, on their way to sleep, or asleep.
        std::this_thread::sleep_for(std::chrono::milliseconds(i % 4 * 3));
        CHECK(child_computes(small, expected));
    }
}

}  // namespace
}  // namespace headwise::test
