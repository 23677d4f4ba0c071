#include <fmt/format.h>

#include <algorithm>

#include "compare/report.hpp"
#include "text/csv_field.hpp"

namespace headwise::tools {

std::string comparison_csv(const Comparison& comparison) {
    std::string text =
        "case,op,shape,threads,seconds,gflops,peak_fraction,bandwidth_fraction,naive_gflops,speedup,max_abs_error,naive_max_abs_"
        "error\n";
    for (const CaseResult& result : comparison.results) {
        const Accuracy& accuracy = result.accuracy;
        const std::string fraction = fmt::format("{}", result.measurement.fraction.median);
        const bool reads = result.bound == Bound::reading;
        const auto if_checked = [&](double value) { return result.checked() ? fmt::format("{}", value) : std::string(); };
        text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{}\n", csv_field(result.name), case_op(result.sizes),
                            csv_field(case_text(result.sizes)), result.threads, result.measurement.seconds.median, result.gflops(),
                            reads ? "" : fraction, reads ? fraction : "", if_checked(accuracy.naive_gflops),
                            if_checked(result.speedup()), if_checked(accuracy.engine_error), if_checked(accuracy.naive_error));
    }
    return text;
}

}  // namespace headwise::tools
