#pragma once

#include <span>
#include <string>

#include "variants/comparison.hpp"

namespace headwise::tools {

/// The table for people, printed as the variants come in: what stands above the rows, the line above the variants of one plain
/// case, the row of one variant (its results at all numbers of threads), and the notes below.
std::string variant_header(const MachinePeaks& peaks, std::size_t name_width);
std::string variant_base(const VariantEntry& entry);
std::string variant_row(std::span<const VariantResult> results, std::size_t name_width);
std::string variant_notes(const VariantComparison& comparison);

/// The schema "headwise.compare-variants/1", of --suite variants and values: "machine" as in headwise.compare/1, and "results", one
/// for each variant and number of threads:
///   case, shape, variant, threads
///   figure    "extra_time" (time over the plain case's, less 1), "flop_rate" (over the plain case's), "speedup" (plain time over
///             its own), "bandwidth" (share of what reading alone reaches), "thread_speedup" (time on one thread over its own)
///   value, value_quartiles    of the figure: the median and [low, median, high] over the rounds; null where nothing was measured
///   goal, met                 the bound of the figure and whether the median keeps it; null where there is no goal
///   seconds, gflops           of one call of the variant
///   yardstick, yardstick_unit what it took turns with: the plain case's GF/s, or the GB/s of reading
///   rounds, calls_per_round
///   wrong, max_abs_error, naive_max_abs_error, checked_rows    against the naive f64 loops; a wrong result is not measured
/// A number that is not finite is the string "inf", "-inf" or "nan".
std::string variants_json(const VariantComparison& comparison);

/// The same without shape, quartiles, rounds: a line for each result, with a header; RFC 4180. What is null above is empty.
std::string variants_csv(const VariantComparison& comparison);

}  // namespace headwise::tools
