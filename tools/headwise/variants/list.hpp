#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "variants/workload.hpp"

namespace headwise::tools {

/// Bytes that a variant takes at most beside its plain case, with what the naive loops in f32 and f64 hold of it.
using MoreBytes = double (*)(const AttentionShape&);

/// What a variant is judged by. The yardstick that takes turns with it is the plain case, but for the last two.
enum class Figure {
    extra_time,      ///< its time over the plain case's, less 1
    flop_rate,       ///< its FLOPs a second over the plain case's
    speedup,         ///< the plain case's time over its own
    bandwidth,       ///< its keys and values a second over the rate at which they can be read
    thread_speedup,  ///< its time on one thread over that on all
};

/// Whether the goal is an upper bound; all others are lower ones.
constexpr bool less_is_better(Figure figure) {
    return figure == Figure::extra_time;
}

struct VariantEntry {
    std::string base;  ///< the plain case, for people
    AttentionShape shape;
    Causal causal = Causal::none;
    std::string name;
    std::function<void(VariantWorkload&)> vary;  ///< from the plain case; none: the figure is of the plain case itself
    Figure figure = Figure::extra_time;
    std::optional<double> goal{};  ///< none: for information
    int goal_threads = 1;          ///< the goal is one for as many threads or more
    MoreBytes more = nullptr;      ///< none: numbers for tokens and heads alone

    VariantWorkload make() const;
};

/// A variant without its plain case.
struct Variant {
    std::string name;
    std::function<void(VariantWorkload&)> vary;
    std::optional<double> goal{};
    Figure figure = Figure::extra_time;
    int goal_threads = 1;
    MoreBytes more = nullptr;
};

/// "prefill, 12 heads, 1024 keys, D64".
std::string plain_case_text(const AttentionShape& shape, Causal causal);

/// Collects a suite.
class VariantList {
  public:
    /// The plain case is called plain_case_text(shape, causal).
    void add(const AttentionShape& shape, Causal causal, std::initializer_list<Variant> variants);
    void add(const std::string& base, const AttentionShape& shape, Causal causal, const std::vector<Variant>& variants);

    std::vector<VariantEntry> take() { return std::move(entries_); }

  private:
    std::vector<VariantEntry> entries_;
};

}  // namespace headwise::tools
