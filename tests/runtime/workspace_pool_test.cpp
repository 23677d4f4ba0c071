#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "engine/runtime/workspace_pool.hpp"

namespace headwise::test {
namespace {

using runtime::PooledWorkspace;

TEST_CASE("a workspace has the size asked for and begins at a cache line") {
    for (const std::size_t bytes :
         {std::size_t{1}, std::size_t{63}, std::size_t{64}, std::size_t{65}, std::size_t{4096}, std::size_t{1} << 20}) {
        const PooledWorkspace workspace(bytes);
        CHECK(workspace.bytes().size() == bytes);
        CHECK(reinterpret_cast<std::uintptr_t>(workspace.bytes().data()) % 64 == 0);
        std::fill(workspace.bytes().begin(), workspace.bytes().end(), std::byte{1});
    }
    CHECK(PooledWorkspace(0).bytes().empty());
}

TEST_CASE("a buffer that came back is handed out again") {
    const std::byte* first = nullptr;
    {
        const PooledWorkspace workspace(3'000'000);
        first = workspace.bytes().data();
    }
    const PooledWorkspace again(3'000'000);
    CHECK(again.bytes().data() == first);
}

TEST_CASE("buffers in use at once are apart, with more of them than the pool has places") {
    std::vector<PooledWorkspace*> workspaces;
    for (int i = 0; i < 40; ++i) workspaces.push_back(new PooledWorkspace(1000));
    std::vector<std::uintptr_t> starts;
    for (const PooledWorkspace* workspace : workspaces)
        starts.push_back(reinterpret_cast<std::uintptr_t>(workspace->bytes().data()));
    std::sort(starts.begin(), starts.end());
    for (std::size_t i = 1; i < starts.size(); ++i) CHECK(starts[i] - starts[i - 1] >= 1000);
    for (const PooledWorkspace* workspace : workspaces) delete workspace;
}

TEST_CASE("what is idle is bounded, and a call that repeats gets its buffer back") {
    std::uintptr_t last = 0;
    for (std::size_t megabytes = 24; megabytes <= 42; ++megabytes)
        for (int call = 0; call < 2; ++call) {
            const PooledWorkspace workspace(megabytes << 20);
            const auto at = reinterpret_cast<std::uintptr_t>(workspace.bytes().data());
            if (call == 1) CHECK(at == last);
            last = at;
        }
    CHECK(runtime::idle_workspace() <= runtime::kMostIdleWorkspace);
    {
        const PooledWorkspace larger(runtime::kMostIdleWorkspace + 1);
        CHECK(runtime::idle_workspace() <= runtime::kMostIdleWorkspace);
    }
    CHECK(runtime::idle_workspace() <= runtime::kMostIdleWorkspace);
}

TEST_CASE("many threads borrow at once") {
    std::atomic<int> faults = 0;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 8; ++thread)
        threads.emplace_back([&, thread] {
            for (std::size_t i = 1; i < 300; ++i) {
                const PooledWorkspace workspace(i * 100);
                const std::byte mark{static_cast<unsigned char>(thread)};
                std::fill(workspace.bytes().begin(), workspace.bytes().end(), mark);
                if (std::any_of(workspace.bytes().begin(), workspace.bytes().end(), [mark](std::byte b) { return b != mark; }))
                    ++faults;
            }
        });
    for (std::thread& thread : threads) thread.join();
    CHECK(faults == 0);
}

}  // namespace
}  // namespace headwise::test
