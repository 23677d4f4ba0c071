#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "arguments/cases.hpp"
#include "arguments/engine_options.hpp"
#include "cases/suite.hpp"
#include "commands/commands.hpp"
#include "commands/compare_variants.hpp"
#include "commands/each_until_failure.hpp"
#include "commands/plot.hpp"
#include "commands/progress_bar.hpp"
#include "compare/comparison.hpp"
#include "compare/report.hpp"
#include "files/output_file.hpp"
#include "measure/accuracy.hpp"
#include "measure/machine_probe.hpp"
#include "text/printable.hpp"
#include "text/usage_error.hpp"
#include "variants/bytes.hpp"
#include "variants/suite.hpp"
#include "variants/value_suite.hpp"
#include "workloads/case_memory.hpp"
#include "workloads/load.hpp"

namespace headwise::tools {
namespace {

struct CompareArguments {
    CaseArguments cases;
    std::optional<std::string> suite;
    std::string data, json, csv, plot;
    std::vector<int> threads;
};

/// Without --case and --input.
std::vector<SuiteEntry> suite_entries(const std::string& suite, const std::string& data) {
    if (suite == "default") return default_suite(data);
    if (suite == "real") return real_suite(data);
    throw UsageError(fmt::format("--suite is '{}': expected default, real, variants or values", suite));
}

/// Of the suites that hold variants against plain cases; none for other names.
std::vector<VariantEntry> variant_entries(const std::string& suite) {
    if (suite == "variants") return variant_suite();
    if (suite == "values") return value_suite();
    return {};
}

/// Times one entry after the other and prints its row.
class Comparer {
  public:
    Comparer(const std::vector<int>& thread_counts, const std::vector<SuiteEntry>& suite)
        : probe_(active_isa()),
          progress_(1 + static_cast<int>(suite.size() * (thread_counts.size() + 1))),
          teams_(thread_teams(thread_counts)) {
        for (const SuiteEntry& entry : suite) name_width_ = std::max(name_width_, printable(entry.name).size());
        progress_.show("peaks of this machine");
        comparison_ = {measure_peaks(probe_, teams_), {}};
        progress_.advance();
        print(table_header(comparison_, name_width_));
    }

    void add(const SuiteEntry& entry) {
        const auto [sizes, workload] = load(entry);
        std::vector<CaseResult> row;
        for (const auto& team : teams_) {
            progress_.show(fmt::format("{}, {} thread{}", entry.name, team->threads(), team->threads() == 1 ? "" : "s"));
            row.push_back(time(*workload, *team));
            progress_.advance();
        }
        progress_.show(fmt::format("{}, naive", entry.name));
        const Accuracy accuracy = workload->check();
        progress_.advance();
        for (CaseResult& result : row) {
            result.name = entry.name;
            result.sizes = sizes;
            result.random_input = entry.file.empty();
            result.accuracy = accuracy;
        }
        print(table_row(row, name_width_));
        comparison_.results.insert(comparison_.results.end(), row.begin(), row.end());
    }

    const Comparison& finish() {
        print(table_notes(comparison_));
        return comparison_;
    }

  private:
    CaseResult time(Workload& workload, ThreadTeam& team) {
        CaseResult result;
        result.threads = team.threads();
        result.flops = workload.flops();
        result.read_bytes = workload.read_bytes();
        const auto call = team.run([&] { return workload.prepare(); });
        ReadSet operands(workload.operands());
        result.bound = bound_of(workload, probe_, team, operands);
        if (result.bound == Bound::reading) {
            result.measurement =
                measure(team, call, result.read_bytes / 1e9, [&] { return probe_.read_gigabytes(team, operands, 0.03); });
        } else {
            result.measurement = measure(team, call, result.flops / 1e9, [&] { return probe_.multiply_add_gflops(team, 0.01); });
        }
        return result;
    }

    void print(const std::string& text) {
        progress_.clear();
        fmt::print("{}", text);
        std::fflush(stdout);
    }

    std::size_t name_width_ = 24;
    MachineProbe probe_;
    ProgressBar progress_;
    std::vector<std::unique_ptr<ThreadTeam>> teams_;
    Comparison comparison_;
};

void compare(CompareArguments arguments) {
    if (arguments.threads.empty()) {
        arguments.threads = {1};
        if (cpu_info().usable_cores > 1) arguments.threads.push_back(cpu_info().usable_cores);
    }
    check_threads(arguments.threads);
    if (arguments.suite && arguments.cases.given())
        throw UsageError("--suite cannot be combined with --case or --input: it has its own list of cases");
    const std::string suite_name = arguments.suite.value_or("default");
    // All that was asked for, checked before anything is measured: --case and --input take the place of the default suite.
    const int most_threads = std::ranges::max(arguments.threads);
    std::vector<SuiteEntry> suite = arguments.cases.entries(
        [=](const AttentionFile& file, const AttentionFileOptions& options) {
            check_plain_attention_file(file, options, most_threads);
            file.note_unused_tensors(Expected::compared);
        },
        most_threads);
    const std::vector<VariantEntry> variants = suite.empty() ? variant_entries(suite_name) : std::vector<VariantEntry>();
    if (!variants.empty()) {
        if (!arguments.plot.empty())
            throw UsageError(fmt::format("--plot draws cases: expected another --suite than {}", suite_name));
        check_suite_memory(suite_name, variants, most_threads, case_memory_limit());
    } else if (suite.empty()) {
        suite = suite_entries(suite_name, arguments.data);
        for (const SuiteEntry& entry : suite)
            if (entry.file.empty())
                check_case_memory(entry.sizes, most_threads);
            else
                check_plain_attention_file(AttentionFile(entry.file, entry.file_options.layout), entry.file_options, most_threads);
    }
    // What can go wrong at the end should go wrong now.
    arguments.cases.check_apart(
        std::array{NamedPath{"--json", arguments.json}, NamedPath{"--csv", arguments.csv}, NamedPath{"--plot", arguments.plot}},
        suite);
    for (const std::string& path : {arguments.json, arguments.csv}) {
        if (!path.empty()) const OutputFile writable(path);
    }
    if (!arguments.plot.empty()) check_plot(kPlotCompare, arguments.plot);
    if (!variants.empty()) return compare_variants(variants, arguments.threads, arguments.json, arguments.csv);

    Comparer comparer(arguments.threads, suite);
    const std::exception_ptr failure = each_until_failure(suite, [&](const SuiteEntry& entry) { comparer.add(entry); });
    const Comparison& comparison = comparer.finish();

    const std::string json = comparison_json(comparison);
    if (!arguments.json.empty()) write_file(arguments.json, json);
    if (!arguments.csv.empty()) write_file(arguments.csv, comparison_csv(comparison));
    if (!arguments.plot.empty()) draw_plot(kPlotCompare, json, arguments.plot);
    if (failure) std::rethrow_exception(failure);
    for (const CaseResult& result : comparison.results) {
        if (is_wrong(result.accuracy)) {
            throw std::runtime_error(fmt::format("wrong result: {}: error {:.1e}", result.name, result.accuracy.engine_error));
        }
    }
}

}  // namespace

void add_compare_command(CLI::App& program) {
    CLI::App* command = program.add_subcommand("compare", "Time the engine against naive loops and against the machine's own peak");
    const auto arguments = std::make_shared<CompareArguments>();
    arguments->cases.add_to(*command, "to time instead of the suite");
    command
        ->add_option("--suite", arguments->suite,
                     "default; real: the real inputs alone; variants: what masks, windows, pages and all other variants cost "
                     "compared to plain attention; values: whether far logits, large biases or denormal numbers cost time")
        ->type_name("NAME");
    command->add_option("--data", arguments->data, "directory of the real inputs")->type_name("DIR");
    add_threads_option(*command, arguments->threads, "numbers of threads, as in 1,2; default 1 and all cores");
    const auto isa = add_isa_option(*command);
    command->add_option("--json", arguments->json, "write the figures as JSON")->type_name("FILE");
    command->add_option("--csv", arguments->csv, "write the figures as CSV")->type_name("FILE");
    command->add_option("--plot", arguments->plot, "draw the figures: .png or .svg (needs python3 and matplotlib)")
        ->type_name("FILE");
    command->callback([arguments, isa] {
        choose_isa(*isa);
        compare(*arguments);
    });
}

}  // namespace headwise::tools
