#pragma once

#include <span>
#include <string>

#include "compare/comparison.hpp"

namespace headwise::tools {

/// The table for people, printed as the cases come in: what stands above the rows, the row of one case (its results at all numbers
/// of threads), and the notes below.
std::string table_header(const Comparison& comparison, std::size_t name_width);
std::string table_row(std::span<const CaseResult> results, std::size_t name_width);
std::string table_notes(const Comparison& comparison);

/// The schema "headwise.compare/1", and more fields beside. What is not finite is "inf", "-inf" or "nan", what is not known null:
/// text/json_text.hpp.
std::string comparison_json(const Comparison& comparison);

/// A line for each result, with a header; RFC 4180. What is not finite is inf, -inf or nan, what is not known empty.
std::string comparison_csv(const Comparison& comparison);

}  // namespace headwise::tools
