// Threads that are still in the middle of calls when main() returns: the process ends as if they were not there. 40 processes, one
// after the other.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "headwise/headwise.hpp"

namespace {

/// Calls of every kind without an end.
[[noreturn]] void call_on(std::int64_t length) {
    const std::int64_t heads = 4, dim = 64;
    std::vector<float> q(static_cast<std::size_t>(heads * length * dim), 0.5f), k(q), v(q), out(q.size()), c(512 * 512);
    const auto view = [&](std::vector<float>& x) { return headwise::bhsd(x.data(), 1, heads, length, dim); };
    for (;;) {
        headwise::attention(view(q), view(k), view(v), view(out));
        headwise::matmul({q.data(), {256, 64}}, headwise::transposed(headwise::TensorView<const float, 2>(k.data(), {512, 64})),
                         {c.data(), {256, 512}});
        headwise::AttentionPlan({.num_heads = 4, .num_kv_heads = 4, .query_length = 8, .key_length = 8, .head_dim = 8})
            .explain()
            .text();
        headwise::cpu_info();
        static_cast<void>(headwise::isa_reason());
    }
}

/// In a process of its own.
void return_meanwhile(int run) {
    for (const std::int64_t length : {256, 300, 512}) std::thread([length] { call_on(length); }).detach();
    std::this_thread::sleep_for(std::chrono::milliseconds(3 + run % 10));
    std::exit(0);  // as if main() returned: atexit handlers and static destructors run, threads go on
}

}  // namespace

int main() {
    std::setvbuf(stdout, nullptr, _IONBF, 0);  // or every child prints what the parent has said
    int failed = 0;
    for (int run = 0; run < 40; ++run) {
        const pid_t child = fork();
        if (child == 0) return_meanwhile(run);
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child) return EXIT_FAILURE;
        if (WIFSIGNALED(status) || WEXITSTATUS(status) != 0) {
            ++failed;
            std::printf("process %d: signal %d, exit status %d\n", run, WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                        WIFEXITED(status) ? WEXITSTATUS(status) : 0);
        }
    }
    std::printf("%d of 40 processes failed\n", failed);
    return failed == 0 ? 0 : 1;
}
