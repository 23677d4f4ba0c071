// `headwise verify --digest`: what it promises of equal and of different digests.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "measure/thread_team.hpp"
#include "verify/digest.hpp"
#include "verify/random_attention.hpp"
#include "verify/result_digests.hpp"

namespace headwise::tools {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::int64_t kCalls = 30;
#else
constexpr std::int64_t kCalls = 300;
#endif

std::string digest_of(const DigestedOperation& operation, std::uint64_t first_seed, int threads) {
    ThreadTeam team(threads);
    return result_digest(operation, first_seed, kCalls, team, [](std::int64_t) {}).text();
}

TEST_CASE("1, 2 and 3 threads give one digest, other seeds another") {
    for (const DigestedOperation& operation : digested_operations()) {
        CAPTURE(operation.name);
        const std::string one = digest_of(operation, 1, 1);
        CHECK(one == digest_of(operation, 1, 1));
        CHECK(one == digest_of(operation, 1, 2));
        CHECK(one == digest_of(operation, 1, 3));
        CHECK(one != digest_of(operation, 2, 1));
    }
}

TEST_CASE("among the calls are many that several threads work on") {
    ThreadTeam team(3);
    int shared = 0;
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        const RandomAttention call(seed, 0, digested_call_cost(seed));
        if (team.run([&] { return AttentionPlan(call.shape, call.options).explain(call.arguments).workers; }) > 1) ++shared;
    }
    CHECK(shared > 10);
}

TEST_CASE("a digest is FNV-1a of the elements' bytes, the lowest first, in the order of indices") {
    CHECK(Digest().text() == "cbf29ce484222325");
    Digest digest;
    digest.add(std::int32_t{'a'} | 'b' << 8 | 'c' << 16 | 'd' << 24);
    CHECK(digest.text() == "fc179f83ee0724dd");  // of "abcd"

    std::vector<float> x{1, 2, 3, 4, 5, 6};
    Digest by_rows, by_view;
    by_rows.add(std::span<const float>(std::vector<float>{1, 3, 5, 2, 4, 6}));
    by_view.add(TensorView<float, 2>(x.data(), {2, 3}, {1, 2}));
    CHECK(by_rows.text() == by_view.text());
}

TEST_CASE("a last bit and the sign of 0 count, which NaN it is does not") {
    const auto text = [](float x) {
        Digest digest;
        digest.add(x);
        return digest.text();
    };
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    CHECK(text(1) != text(std::nextafter(1.0f, 2.0f)));
    CHECK(text(0.0f) != text(-0.0f));
    CHECK(text(kNan) == text(std::copysign(kNan, -1.0f)));
}

}  // namespace
}  // namespace headwise::tools
