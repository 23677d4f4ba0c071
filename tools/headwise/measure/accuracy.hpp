#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace headwise::tools {

/// How far the engine's last result and the naive f32 loops are from the naive f64 loops, and how fast the naive f32 loops are.
/// Large cases are checked on some of their rows, the first and the last among them, evenly spread.
struct Accuracy {
    double engine_error = 0;  ///< largest absolute difference; infinity where one is NaN or infinite and the other is not
    double naive_error = 0;
    double largest = 0;     ///< largest absolute value of the f64 result: what the errors are to be compared with
    double negligible = 0;  ///< an error of this size is as promised, however small the values are
    double naive_gflops = 0;
    std::int64_t rows = 0, total_rows = 0;
    std::optional<double> engine_to_model{}, naive_to_model{};  ///< against the output stored in the file, where there is one
};

/// Whether the engine's result is so far from the f64 loops that no rounding explains it.
bool is_wrong(const Accuracy& accuracy);

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
