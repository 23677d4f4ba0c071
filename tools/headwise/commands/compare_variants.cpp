#include "commands/compare_variants.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <utility>

#include "commands/each_until_failure.hpp"
#include "commands/progress_bar.hpp"
#include "files/output_file.hpp"
#include "measure/machine_report.hpp"
#include "variants/report.hpp"

namespace headwise::tools {
namespace {

/// All variants, each printed when it is measured, and what kept the rest from being so.
std::pair<VariantComparison, std::exception_ptr> measure_variants(const std::vector<VariantEntry>& suite,
                                                                  const std::vector<int>& thread_counts) {
    std::size_t name_width = 26;
    for (const VariantEntry& entry : suite) name_width = std::max(name_width, entry.name.size());
    ProgressBar progress(1 + static_cast<int>(suite.size() * thread_counts.size()));
    const auto print = [&](const std::string& text) {
        progress.clear();
        fmt::print("{}", text);
        std::fflush(stdout);
    };
    progress.show("peaks of this machine");
    VariantTimer timer(thread_counts);
    VariantComparison comparison{timer.peaks(), {}};
    print(variant_header(timer.peaks(), name_width));
    std::string base;
    const std::exception_ptr failure = each_until_failure(suite, [&](const VariantEntry& entry) {
        const std::vector<VariantResult> results = timer.time(entry, [&](int threads) {
            progress.advance();
            progress.show(fmt::format("{}, {}", entry.name, threads_text(threads)));
        });
        if (entry.base != base) print(variant_base(entry));
        base = entry.base;
        print(variant_row(results, name_width));
        comparison.results.insert(comparison.results.end(), results.begin(), results.end());
    });
    print(variant_notes(comparison));
    return {std::move(comparison), failure};
}

}  // namespace

void compare_variants(const std::vector<VariantEntry>& suite, const std::vector<int>& thread_counts, const std::string& json,
                      const std::string& csv) {
    const auto [comparison, failure] = measure_variants(suite, thread_counts);
    if (!json.empty()) write_file(json, variants_json(comparison));
    if (!csv.empty()) write_file(csv, variants_csv(comparison));
    if (failure) std::rethrow_exception(failure);
    for (const VariantResult& result : comparison.results) {
        if (result.accuracy.wrong())
            throw std::runtime_error(fmt::format("wrong result: {}, {}: error {:.1e}", result.entry.base, result.entry.name,
                                                 result.accuracy.out.engine_error));
    }
}

}  // namespace headwise::tools
