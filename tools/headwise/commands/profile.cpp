#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <utility>

#include "arguments/cases.hpp"
#include "arguments/engine_options.hpp"
#include "buffers/memory_limit.hpp"
#include "cases/suite.hpp"
#include "commands/commands.hpp"
#include "commands/each_until_failure.hpp"
#include "commands/plot.hpp"
#include "commands/progress_bar.hpp"
#include "files/output_file.hpp"
#include "measure/machine_probe.hpp"
#include "measure/machine_report.hpp"
#include "profile/analyze/analyze.hpp"
#include "profile/analyze/attempts.hpp"
#include "profile/record/record.hpp"
#include "profile/write/html.hpp"
#include "profile/write/reports.hpp"
#include "profile/write/timeline.hpp"
#include "profile/write/trace.hpp"
#include "text/usage_error.hpp"
#include "workloads/attention_file.hpp"
#include "workloads/case_memory.hpp"

namespace headwise::tools {
namespace {

constexpr int kMostAsked = 10'000;
constexpr int kColumnsOfFile = 100;  // of a timeline that goes to no terminal

struct ProfileArguments {
    CaseArguments cases;
    std::vector<int> threads;
    std::vector<std::string> schedules;
    int repeats = 0;
    std::string json, csv, trace, html, plot;

    bool writes_files() const { return !(json + csv + trace + html + plot).empty(); }
};

std::vector<int> thread_counts(const ProfileArguments& arguments) {
    const int cores = cpu_info().logical_cores;
    std::vector<int> counts = arguments.threads;
    if (counts.empty()) counts.push_back(cpu_info().usable_cores);
    check_threads(counts);
    if (const int most = std::ranges::max(counts); most > cores)
        throw UsageError(fmt::format("--threads is {}: this machine has {} logical cores", most, cores));
    std::ranges::sort(counts);
    return counts;
}

std::vector<AttentionSchedule> schedules(const ProfileArguments& arguments, const std::vector<SuiteEntry>& entries) {
    std::vector<AttentionSchedule> result;
    for (const std::string& name : arguments.schedules) {
        try {
            result.push_back(schedule_from_name(name));
        } catch (const UsageError& error) {
            throw UsageError(fmt::format("--{}", error.what()));
        }
        if (std::ranges::count(result, result.back()) > 1) throw UsageError(fmt::format("--schedule names {} twice", name));
        for (const SuiteEntry& entry : entries)
            if (result.back() != AttentionSchedule::automatic && entry.file.empty() && case_op(entry.sizes) != "attention")
                throw UsageError(
                    fmt::format("--schedule is '{}': only attention has a choice; expected auto for '{}'", name, entry.name));
    }
    if (result.empty()) result.push_back(AttentionSchedule::automatic);
    return result;
}

/// One thread with the automatic schedule comes first: all else is held against it.
std::vector<RunSetting> settings(const std::vector<int>& threads, const std::vector<AttentionSchedule>& schedules) {
    std::vector<RunSetting> result{{.threads = 1, .schedule = AttentionSchedule::automatic}};
    for (const int count : threads)
        for (const AttentionSchedule schedule : schedules)
            if (const RunSetting setting{count, schedule}; setting != result.front()) result.push_back(setting);
    return result;
}

/// By its header, and then by a call of it, which checks all that there is.
void check_attention_file(const AttentionFile& file, const AttentionFileOptions& options, int threads) {
    check_memory(fmt::format("'{}' takes", file.path()), attention_file_bytes(file, threads), case_memory_limit());
    attention_file_workload(file, options);
    file.note_unused_tensors(Expected::ignored);
}

std::unique_ptr<Workload> workload_of(const SuiteEntry& entry) {
    if (entry.file.empty()) return make_workload(entry.sizes);
    return attention_file_workload(AttentionFile(entry.file, entry.file_options.layout), entry.file_options);
}

/// What can go wrong at the end should go wrong now.
void check_outputs(const ProfileArguments& arguments, const std::vector<SuiteEntry>& entries) {
    arguments.cases.check_apart(
        std::array{NamedPath{"--json", arguments.json}, NamedPath{"--csv", arguments.csv}, NamedPath{"--trace", arguments.trace},
                   NamedPath{"--html", arguments.html}, NamedPath{"--plot", arguments.plot}},
        entries);
    for (const std::string& path : {arguments.json, arguments.csv, arguments.trace, arguments.html}) {
        if (!path.empty()) const OutputFile writable(path);
    }
    if (!arguments.plot.empty()) check_plot(kPlotProfile, arguments.plot);
}

int terminal_columns() {
    winsize size{};
    return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kColumnsOfFile;
}

/// Profiles one entry after the other and prints what it found.
class Profiler {
  public:
    Profiler(const std::vector<RunSetting>& settings, std::size_t entries, int repeats)
        : settings_(settings), probe_(active_isa()), progress_(static_cast<int>(entries) + 1), repeats_{repeats} {
        progress_.show("peaks of this machine");
        std::vector<int> counts;
        for (const RunSetting& setting : settings)
            if (std::ranges::find(counts, setting.threads) == counts.end()) counts.push_back(setting.threads);
        std::vector<std::unique_ptr<ThreadTeam>> teams = thread_teams(counts);
        report_.peaks = measure_peaks(probe_, teams);
        for (auto& team : teams) teams_[team->threads()] = std::move(team);
        progress_.advance();
        print(machine_text(report_.peaks));
    }

    void add(const SuiteEntry& entry) {
        const std::unique_ptr<Workload> workload = workload_of(entry);
        const std::vector<ProfiledRun> runs = least_disturbed([&](int attempt) {
            const std::string again = attempt > 1 ? fmt::format(", attempt {} as others disturbed the run", attempt) : "";
            Recorder recorder(teams_, probe_, repeats_, [&](int repeat) {
                progress_.show(fmt::format("{}, repetition {}{}", entry.name, repeat + 1, again));
            });
            const std::vector<RecordedRun> recorded = recorder.record(*workload, settings_);
            report_.counters = recorder.counters();
            return analyze(entry.name, std::string(case_op(entry.sizes)), *workload, recorded);
        });
        progress_.advance();
        for (const ProfiledRun& run : runs) print(profile_text(run));
        print(what_if_text(runs));
        report_.runs.insert(report_.runs.end(), runs.begin(), runs.end());
    }

    const ProfileReport& finish() {
        if (report_.counters != "available") print(fmt::format("\nno hardware counters: {}\n", report_.counters));
        return report_;
    }

  private:
    void print(const std::string& text) {
        progress_.clear();
        fmt::print("{}", text);
        std::fflush(stdout);
    }

    std::vector<RunSetting> settings_;
    MachineProbe probe_;
    ProgressBar progress_;
    Repeats repeats_;
    Recorder::Teams teams_;
    ProfileReport report_;
};

/// In all the forms that were asked for, or else as timelines on the terminal.
void show(const std::string& json, const std::string& csv, const ProfileArguments& arguments) {
    if (!arguments.writes_files()) fmt::print("\n{}", profile_timeline(json, terminal_columns()));
    if (!arguments.json.empty()) write_file(arguments.json, json);
    if (!arguments.csv.empty()) write_file(arguments.csv, csv);
    if (!arguments.trace.empty()) write_file(arguments.trace, profile_trace(json));
    if (!arguments.html.empty()) write_file(arguments.html, profile_html(json));
    if (!arguments.plot.empty()) draw_plot(kPlotProfile, json, arguments.plot);
}

void profile(const ProfileArguments& arguments) {
    const std::vector<int> threads = thread_counts(arguments);
    const auto check_file = [&](const AttentionFile& file, const AttentionFileOptions& options) {
        check_attention_file(file, options, threads.back());
    };
    const std::vector<SuiteEntry> entries = arguments.cases.entries(check_file, threads.back());
    if (entries.empty()) throw UsageError("nothing to profile: expected --case or --input");
    const std::vector<RunSetting> asked = settings(threads, schedules(arguments, entries));
    check_outputs(arguments, entries);

    Profiler profiler(asked, entries.size(), arguments.repeats);
    const std::exception_ptr failure = each_until_failure(entries, [&](const SuiteEntry& entry) { profiler.add(entry); });
    const ProfileReport& report = profiler.finish();
    show(profile_json(report), profile_csv(report), arguments);
    if (failure) std::rethrow_exception(failure);
}

}  // namespace

void add_profile_command(CLI::App& program) {
    CLI::App* command = program.add_subcommand(
        "profile",
        "Show where the time goes, by head, worker and task, what limits it, and the predicted speedup on 1 to 256 workers");
    const auto arguments = std::make_shared<ProfileArguments>();
    arguments->cases.add_to(*command, "to profile");
    command->footer(attention_rules_help(Rope::unsupported));
    add_threads_option(*command, arguments->threads, "numbers of threads, as in 1,2; default all cores. One is always measured");
    command
        ->add_option("--schedule", arguments->schedules,
                     "what is a task of attention: heads, heads-queries (a block of a head's rows) or auto; several by commas")
        ->type_name("NAME,...")
        ->delimiter(',')
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->expected(1);
    const auto repeats =
        command->add_option("--repeat", arguments->repeats, "repetitions, of which the median is shown; default up to 21")
            ->type_name("N");
    const auto isa = add_isa_option(*command);
    command->add_option("--json", arguments->json, "write all figures and every task as JSON")->type_name("FILE");
    command->add_option("--csv", arguments->csv, "write a line for each run as CSV")->type_name("FILE");
    command->add_option("--trace", arguments->trace, "write the tasks as trace events, for ui.perfetto.dev or chrome://tracing")
        ->type_name("FILE");
    command->add_option("--html", arguments->html, "write a page with timelines, heads, efficiencies and simulation")
        ->type_name("FILE");
    command->add_option("--plot", arguments->plot, "draw the timelines: .png or .svg (needs python3 and matplotlib)")
        ->type_name("FILE");
    command->callback([arguments, isa, repeats] {
        if (repeats->count() > 0 && (arguments->repeats < 1 || arguments->repeats > kMostAsked))
            throw UsageError(fmt::format("--repeat is {}: expected 1 to {}", arguments->repeats, kMostAsked));
        choose_isa(*isa);
        profile(*arguments);
    });
}

}  // namespace headwise::tools
