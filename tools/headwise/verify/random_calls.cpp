#include <fmt/format.h>

#include <algorithm>

#include "headwise/cpu.hpp"
#include "headwise/error.hpp"
#include "measure/thread_team.hpp"
#include "verify/attention.hpp"
#include "verify/checks.hpp"

namespace headwise::tools {
namespace {

/// A call that the engine refuses is wrong as well: all of them are good.
AttentionVerdict verdict_on(AttentionVerifier& verifier, std::uint64_t seed, ThreadTeam& team) {
    try {
        return team.run([&] { return verifier.verify(seed); });
    } catch (const Error& error) {
        AttentionVerdict verdict;
        verdict.text = "refused";
        verdict.out.wrong = fmt::format(": {}", error.what());
        return verdict;
    }
}

}  // namespace

std::vector<CheckResult> verify_random_calls(const RandomCalls& calls, ThreadTeam& team,
                                             const std::function<void(std::int64_t)>& progress) {
    const Isa isa = active_isa();
    CheckResult errors{.isa = isa, .check = "attention", .things = "random calls", .allowed = 100, .unit = "%"};
    CheckResult bits{.isa = isa, .check = "same bits", .unit = "differ"};
    bits.things = fmt::format("random calls, 1 and {} threads", team.threads());
    AttentionVerifier verifier;
    const double deadline = now() + calls.seconds;
    for (std::int64_t i = 0; i < calls.count && (i == 0 || now() < deadline); ++i) {
        progress(i);
        const std::uint64_t seed = calls.seed + static_cast<std::uint64_t>(i);
        const AttentionVerdict verdict = verdict_on(verifier, seed, team);
        const auto failure = [&] {
            return fmt::format("headwise verify --isa {} --seed {} --count 1{}: {}", isa_name(isa), seed, calls.repeat,
                               verdict.failure());
        };
        errors.add(std::max(percentage(verdict.out), percentage(verdict.log_sum_exp)), failure);
        bits.add(verdict.same_bits ? 0 : 1, failure);
    }
    bits.worst = static_cast<double>(bits.failed);
    return {std::move(errors), std::move(bits)};
}

}  // namespace headwise::tools
