#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "workload.hpp"

namespace headwise::tools {

/// |a - b|; 0 where both are NaN or the same infinity, infinity where only one is.
double absolute_difference(double a, double b);

/// Widens to f64.
std::vector<double> widened(std::span<const float> values);

/// Indices of the rows to be checked, ascending: as many of 0 .. total - 1 as `flops_per_row` allows for about a second of naive
/// loops, evenly spread, the first and the last among them. The same for the same sizes.
std::vector<std::int64_t> sampled_rows(std::int64_t total, double flops_per_row);

/// How many of them `flops_per_row` allows.
double sampled_row_count(double flops_per_row);

/// Collects the rows' errors.
class AccuracyRecord {
  public:
    /// One row by the engine, by the naive loops in f32 and in f64.
    void add(std::span<const float> engine, std::span<const float> naive, std::span<const double> exact);

    /// One row as the model itself computed it.
    void add_model(std::span<const float> engine, std::span<const float> naive, std::span<const float> model);

    /// The naive f32 loops took so long for so much.
    void add_naive_time(double flops, double seconds);

    Accuracy result(std::int64_t total_rows) const;

  private:
    Accuracy accuracy_;
    double flops_ = 0, seconds_ = 0;
};

}  // namespace headwise::tools
