#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <optional>
#include <stdexcept>
#include <type_traits>

#include "arguments/engine_options.hpp"
#include "commands/commands.hpp"
#include "commands/progress_bar.hpp"
#include "headwise/cpu.hpp"
#include "measure/thread_team.hpp"
#include "text/usage_error.hpp"
#include "verify/checks.hpp"
#include "verify/result_digests.hpp"

namespace headwise::tools {
namespace {

constexpr std::int64_t kCalls = 15000;         // of each ISA, unless told otherwise
constexpr double kSeconds = 45;                // for the random calls of all ISAs, unless told how many
constexpr std::int64_t kDigestedCalls = 1000;  // of each operation, unless told otherwise
constexpr int kLeastThreads = 4;               // even where there are fewer cores
constexpr std::int64_t kCallsPerStep = 50;     // of the progress bar

struct VerifyArguments {
    std::uint64_t seed = 1;
    std::optional<std::int64_t> count;
    std::optional<int> threads;
    bool digest = false;
};

/// Puts the ISA back that was active before.
class IsaKeeper {
  public:
    IsaKeeper() : before_(active_isa()) {}
    ~IsaKeeper() { set_isa(before_); }
    IsaKeeper(const IsaKeeper&) = delete;
    IsaKeeper& operator=(const IsaKeeper&) = delete;

  private:
    Isa before_;
};

/// On the given ISAs in turn.
template <class Function>
void on_each(const std::vector<Isa>& isas, const Function& function) {
    const IsaKeeper keeper;
    for (const Isa isa : isas) {
        set_isa(isa);
        function();
    }
}

class Verification {
  public:
    Verification(const VerifyArguments& arguments, const std::vector<Isa>& isas)
        : isas_(isas),
          team_(arguments.threads.value_or(std::max(kLeastThreads, cpu_info().logical_cores))),
          progress_(static_cast<int>(std::min<std::int64_t>(steps(arguments.count.value_or(kCalls)), 1 << 20))) {
        calls_.seed = arguments.seed;
        calls_.count = arguments.count.value_or(kCalls);
        if (!arguments.count) calls_.seconds = kSeconds / static_cast<double>(isas.size());
        if (arguments.threads) calls_.repeat = fmt::format(" --threads {}", team_.threads());
    }

    /// Throws std::runtime_error, after the table, when anything failed.
    void run() {
        const double start = now();
        print(check_header());
        on_each(isas_, [&] { run_active(); });
        print(fmt::format("{}{:.0f} s\n", check_notes(), now() - start));
        if (failed_ > 0) throw std::runtime_error(fmt::format("{} of {} checks failed", failed_, checks_));
    }

  private:
    std::int64_t steps(std::int64_t calls) const { return static_cast<std::int64_t>(isas_.size()) * (calls / kCallsPerStep + 1); }

    void run_active() {
        const std::string_view name = isa_name(active_isa());
        progress_.show(fmt::format("{}, exp", name));
        for (const CheckResult& result : verify_exp()) add(result);
        progress_.show(fmt::format("{}, matmul", name));
        add(verify_matmul(calls_.seed, team_));
        const auto show = [&](std::int64_t done) {
            if (done % kCallsPerStep != 0) return;
            progress_.show(fmt::format("{}, attention: {} of {} calls", name, done, calls_.count));
            progress_.advance();
        };
        for (const CheckResult& result : verify_random_calls(calls_, team_, show)) add(result);
        progress_.show(fmt::format("{}, numbers of threads", name));
        add(verify_thread_counts(thread_counts()));
    }

    /// 1, 2, 3, 4 and that of the team, as far as it goes.
    std::vector<int> thread_counts() const {
        std::vector<int> counts;
        for (int count = 1; count <= std::min(team_.threads(), kLeastThreads); ++count) counts.push_back(count);
        if (counts.back() < team_.threads()) counts.push_back(team_.threads());
        return counts;
    }

    void add(const CheckResult& result) {
        ++checks_;
        if (!result.passed()) ++failed_;
        print(check_row(result));
    }

    void print(const std::string& text) {
        progress_.clear();
        fmt::print("{}", text);
        std::fflush(stdout);
    }

    std::vector<Isa> isas_;
    RandomCalls calls_;
    ThreadTeam team_;
    ProgressBar progress_;
    int checks_ = 0, failed_ = 0;
};

/// For each ISA a digest of each operation's results, and one of all.
void print_digests(const VerifyArguments& arguments, const std::vector<Isa>& isas) {
    constexpr const char* kColumns = "{:<8} {:<10} {:>6}  {}\n";
    ThreadTeam team(arguments.threads.value_or(std::max(kLeastThreads, cpu_info().logical_cores)));
    const std::int64_t count = arguments.count.value_or(kDigestedCalls);
    ProgressBar progress(static_cast<int>(std::ssize(isas) * std::ssize(digested_operations())));
    fmt::print(fmt::runtime(kColumns), "ISA", "operation", "calls", "digest");
    on_each(isas, [&] {
        const std::string_view isa = isa_name(active_isa());
        const auto print = [&](std::string_view name, std::int64_t calls, const Digest& digest) {
            progress.clear();
            fmt::print(fmt::runtime(kColumns), isa, name, calls, digest.text());
            std::fflush(stdout);
        };
        Digest all;
        for (const DigestedOperation& operation : digested_operations()) {
            const Digest digest = result_digest(operation, arguments.seed, count, team, [&](std::int64_t done) {
                if (done % kCallsPerStep == 0)
                    progress.show(fmt::format("{}, {}: {} of {} calls", isa, operation.name, done, count));
            });
            progress.advance();
            print(operation.name, count, digest);
            all.add(digest.value());
        }
        print("all", count * std::ssize(digested_operations()), all);
    });
}

/// CLI11 reads numbers in this way, too, but takes what is too large for the largest of the type.
template <class T, T least>
std::string refuse_overflow(const std::string& text) {
    errno = 0;
    if constexpr (std::is_signed_v<T>)
        std::strtoll(text.c_str(), nullptr, 0);
    else
        std::strtoull(text.c_str(), nullptr, 0);
    if (errno != ERANGE) return {};
    return fmt::format("is {}: expected {} to {}", text, least, std::numeric_limits<T>::max());
}

void verify(const VerifyArguments& arguments, const std::string& isa) {
    if (arguments.count && *arguments.count < 1)
        throw UsageError(fmt::format("--count is {}: expected at least 1", *arguments.count));
    if (arguments.threads) check_threads({*arguments.threads});
    choose_isa(isa);
    const std::vector<Isa> isas =
        isa.empty() ? std::vector(available_isas().begin(), available_isas().end()) : std::vector{active_isa()};
    if (arguments.digest)
        print_digests(arguments, isas);
    else
        Verification(arguments, isas).run();
}

}  // namespace

void add_verify_command(CLI::App& program) {
    CLI::App* command = program.add_subcommand(
        "verify", "Check the numbers on this machine: exp, matmul and random calls of attention with all variants, on every ISA");
    const auto arguments = std::make_shared<VerifyArguments>();
    command->add_option("--seed", arguments->seed, "seed of the first random call; each further call adds 1 (default: 1)")
        ->type_name("N")
        ->check([](const std::string& text) {
            return text.starts_with('-') ? fmt::format("is {}: expected at least 0", text) : std::string();
        })
        ->check(refuse_overflow<std::uint64_t, 0>);
    command
        ->add_option(
            "--count", arguments->count,
            fmt::format("random calls of attention on each ISA (default: {}, or what can be done in {:.0f} s)", kCalls, kSeconds))
        ->type_name("N")
        ->check(refuse_overflow<std::int64_t, 1>);
    command->add_option("--threads", arguments->threads, "threads (default: as many as cores, at least 4)")->type_name("N");
    command->add_flag(
        "--digest", arguments->digest,
        fmt::format(
            "instead of checking, print a digest of the bits of all results, for each ISA, of {} calls of each operation or as "
            "--count says: equal digests mean equal bits",
            kDigestedCalls));
    const auto isa = std::make_shared<std::string>();
    command->add_option("--isa", *isa, "check these kernels alone: scalar, sse4.2, avx2, avx512, neon (default: all available)")
        ->type_name("NAME");
    command->callback([arguments, isa] { verify(*arguments, *isa); });
}

}  // namespace headwise::tools
