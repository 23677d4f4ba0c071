// Attention over parts of the keys, merged, is attention over all of them: for calls of all variants, drawn at random.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <numeric>
#include <vector>

#include "headwise/merge_states.hpp"
#include "tests/support/bound_use.hpp"
#include "tests/support/random_numbers.hpp"
#include "tests/support/same_floats.hpp"
#include "tests/support/strided_tensor.hpp"
#include "verify/random_attention.hpp"

namespace headwise::tools {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kCases = 400;
#else
constexpr int kCases = 4000;
#endif

bool is_ragged(const AttentionArguments& a) {
    return !a.cumulative_query_lengths.empty();
}

/// Of sequence b.
std::int64_t keys_of(const AttentionArguments& a, std::int64_t b) {
    const auto i = static_cast<std::size_t>(b);
    if (!a.key_lengths.empty()) return a.key_lengths[i];
    if (!a.cumulative_key_lengths.empty()) return a.cumulative_key_lengths[i + 1] - a.cumulative_key_lengths[i];
    return a.key.extent[2];
}

std::int64_t queries_of(const AttentionArguments& a, std::int64_t b) {
    const auto i = static_cast<std::size_t>(b);
    if (is_ragged(a)) return a.cumulative_query_lengths[i + 1] - a.cumulative_query_lengths[i];
    return a.query_lengths.empty() ? a.query.extent[2] : a.query_lengths[i];
}

bool is_top_left(const AttentionOptions& options) {
    return options.causal == Causal::none ? options.alignment == Alignment::top_left : options.causal == Causal::top_left;
}

/// Key j of the part is key first + j to the caller's function.
struct MovedFunction {
    ScoreFunction function;
    std::int64_t first;

    double operator()(double score, std::int64_t b, std::int64_t h, std::int64_t q, std::int64_t k) const {
        return function.apply_one(function.function, score, b, h, q, first + k);
    }
    float operator()(float score, std::int64_t b, std::int64_t h, std::int64_t q, std::int64_t k) const {
        const ScoreTile pair{.scores = &score,
                             .row_stride = 1,
                             .key_stride = 1,
                             .rows = 1,
                             .keys = 1,
                             .batch = b,
                             .first_head = h,
                             .group = 1,
                             .first_row = q,
                             .first_key = first + k};
        function.apply(function.function, pair);
        return score;
    }
};

/// The call over the keys [begin, end) of each sequence, with memory of its own for results and for what has to be moved.
class KeyRangeCall {
  public:
    KeyRangeCall(const RandomAttention& whole, std::int64_t begin, std::int64_t end)
        : options_(whole.options), a_(whole.arguments), begin_(begin), end_(end) {
        const std::int64_t batch = whole.shape.batch;
        for (std::int64_t b = 0; b < batch; ++b) set_sequence(whole, b);
        a_.first_query_positions = first_queries_;
        a_.first_key_positions = first_keys_;
        if (!a_.key_lengths.empty()) a_.key_lengths = lengths_;
        set_keys(whole.arguments);
        cut(a_.bias, 1);
        cut(a_.mask, 1);
        cut(a_.mask_bits, 8);
        cut(a_.block_mask.visible, a_.block_mask.key_block);
        if (a_.score_function.apply) {
            function_ = {whole.arguments.score_function, begin};
            a_.score_function = score_function(function_);
        }
        if (begin > 0) a_.sinks = {};
        a_.shared_keys = std::clamp<std::int64_t>(a_.shared_keys - begin, 0, end - begin);
        const auto& extents = a_.out.extent;
        out_.resize(static_cast<std::size_t>(extents[0] * extents[1] * extents[2] * extents[3]));
        log_sum_exp_.resize(static_cast<std::size_t>(extents[0] * extents[1] * extents[2]));
        a_.out = {out_.data(), extents};
        a_.log_sum_exp = {log_sum_exp_.data(), {extents[0], extents[1], extents[2]}};
    }
    KeyRangeCall(const KeyRangeCall&) = delete;
    KeyRangeCall& operator=(const KeyRangeCall&) = delete;

    AttentionState run() const {
        attention(a_, options_);
        return {a_.out, a_.log_sum_exp};
    }

  private:
    std::int64_t length_of(const AttentionArguments& whole, std::int64_t b) const {
        return std::clamp<std::int64_t>(keys_of(whole, b) - begin_, 0, end_ - begin_);
    }

    void set_sequence(const RandomAttention& call, std::int64_t b) {
        const AttentionArguments& whole = call.arguments;
        const auto i = static_cast<std::size_t>(b);
        const bool top_left = is_top_left(call.options);
        const std::int64_t first_key = whole.first_key_positions.empty() ? 0 : whole.first_key_positions[i];
        first_keys_.push_back(first_key + begin_);
        first_queries_.push_back(!whole.first_query_positions.empty() ? whole.first_query_positions[i]
                                 : top_left                           ? first_key
                                                                      : first_key + keys_of(whole, b) - queries_of(whole, b));
        lengths_.push_back(static_cast<std::int32_t>(length_of(whole, b)));
    }

    void set_keys(const AttentionArguments& whole) {
        if (whole.page_table.data) {
            const std::int64_t page = begin_ / whole.key.extent[2];
            a_.page_table.data += page;
            a_.page_table.extent[1] -= page;
        } else if (is_ragged(whole)) {
            std::vector<std::int64_t> from;
            sums_.push_back(0);
            for (std::int64_t b = 0; b < std::ssize(lengths_); ++b) {
                const auto i = static_cast<std::size_t>(b);
                for (std::int64_t j = 0; j < lengths_[i]; ++j) from.push_back(whole.cumulative_key_lengths[i] + begin_ + j);
                sums_.push_back(std::ssize(from));
            }
            a_.cumulative_key_lengths = std::span<const std::int64_t>(sums_);
            pick(a_.key, from, keys_);
            pick(a_.value, from, values_);
            if (!whole.key_positions.data) return;
            for (const std::int64_t j : from) positions_.push_back(whole.key_positions.data[j]);
            a_.key_positions = {positions_.data(), {1, std::ssize(positions_)}};
            return;
        } else {
            for (TensorView<const float, 4>* view : {&a_.key, &a_.value}) {
                view->data += begin_ * view->stride[2];
                view->extent[2] = std::min(end_, view->extent[2]) - begin_;
            }
        }
        if (!whole.key_positions.data) return;
        a_.key_positions.data += begin_;
        a_.key_positions.extent[1] -= begin_;
    }

    /// Copies of these rows of a packed tensor.
    static void pick(TensorView<const float, 4>& view, const std::vector<std::int64_t>& rows, std::vector<float>& memory) {
        for (std::int64_t h = 0; h < view.extent[1]; ++h)
            for (const std::int64_t row : rows)
                for (std::int64_t d = 0; d < view.extent[3]; ++d)
                    memory.push_back(view.data[h * view.stride[1] + row * view.stride[2] + d]);
        view = {memory.data(), {1, view.extent[1], std::ssize(rows), view.extent[3]}};
    }

    /// Leaves the keys [begin, end) of a mask or bias, `unit` of them an element.
    template <class T>
    void cut(TensorView<const T, 4>& view, std::int64_t unit) const {
        if (!view.data) return;
        const std::int64_t first = begin_ / unit, last = std::min((end_ - 1) / unit + 1, view.extent[3]);
        view.data += first;
        view.extent[3] = last - first;
    }

    AttentionOptions options_;
    AttentionArguments a_;
    std::int64_t begin_, end_;
    MovedFunction function_{};
    std::vector<std::int64_t> first_queries_, first_keys_, sums_;
    std::vector<std::int32_t> lengths_, positions_;
    std::vector<float> keys_, values_, out_, log_sum_exp_;
};

/// Keys are cut at multiples of this: whole pages, bytes of mask bits, blocks of a block mask.
std::int64_t cut_unit(const AttentionArguments& a) {
    std::int64_t unit = a.mask_bits.data ? 8 : 1;
    if (a.page_table.data) unit = std::lcm(unit, a.key.extent[2]);
    if (a.block_mask.visible.data) unit = std::lcm(unit, a.block_mask.key_block);
    return unit;
}

TEST_CASE("the merged results of any parts of the keys are attention over all of them, whatever the variants") {
    const int cases = test::test_cases(kCases);
    int split = 0;
    test::BoundUse most;
    for (int i = 0; i < cases; ++i) {
        const std::uint64_t seed = test::test_seed() + static_cast<std::uint64_t>(i);
        INFO(test::reproduction(seed));
        const RandomAttention call(seed);
        const AttentionArguments& a = call.arguments;
        const bool top_left = is_top_left(call.options);
        // The nodes of such a tree are not at the queries' positions, which is where a part looks for them.
        if (a.tree_parents.data && top_left && a.first_query_positions.empty()) continue;
        std::int64_t keys = 0;
        for (std::int64_t b = 0; b < call.shape.batch; ++b) keys = std::max(keys, keys_of(a, b));
        test::RandomNumbers random(seed);
        const std::int64_t unit = cut_unit(a), units = (keys - 1) / unit;
        if (keys == 0 || units == 0) continue;
        const std::int64_t cut = unit * random.between(1, units);
        ++split;

        const KeyRangeCall first(call, 0, cut), second(call, cut, keys);
        const AttentionState before = first.run(), after = second.run();
        const TensorView<float, 4> out(const_cast<float*>(before.out.data), before.out.extent);
        const TensorView<float, 3> sums(const_cast<float*>(before.log_sum_exp.data), before.log_sum_exp.extent);
        merge_states(before, after, out, sums);
        const test::BoundUse use = test::use_of_bound(test::AttentionErrorBound(call.options, a), out, sums);
        CHECK_MESSAGE(use.within(), "cut at ", cut, ": ", call.text(), "; ", use.worst);
        most.add(use, call.text());
    }
    CHECK(split > cases / 2);
    std::printf("%d random calls in two parts: %s\n", split, most.text().c_str());
}

/// out after the call, in the order of its indices.
std::vector<float> out_of(const AttentionArguments& arguments, const AttentionOptions& options) {
    attention(arguments, options);
    std::vector<float> all;
    test::for_each_element(arguments.out.extent, [&](auto... index) { all.push_back(test::element(arguments.out, index...)); });
    return all;
}

TEST_CASE("without RoPE and a prefix only distances count: positions that all start elsewhere change no bit") {
    const int cases = test::test_cases(kCases) / 4;
    int shifted = 0;
    for (int i = 0; i < cases; ++i) {
        const std::uint64_t seed = test::test_seed() + static_cast<std::uint64_t>(i);
        INFO(test::reproduction(seed));
        const RandomAttention call(seed, 0, 3e5, RandomAttention::FirstPositions::none);
        const AttentionArguments& a = call.arguments;
        const bool top_left = is_top_left(call.options);
        if (call.options.rope || !a.prefix_lengths.empty() || (a.tree_parents.data && top_left)) continue;
        ++shifted;
        const std::vector<float> unmoved = out_of(a, call.options);
        for (const std::int64_t shift : {std::int64_t{-1}, std::int64_t{-1000}, std::int64_t{1} << 39, -(std::int64_t{1} << 39)}) {
            std::vector<std::int64_t> first_queries, first_keys;
            for (std::int64_t b = 0; b < call.shape.batch; ++b) {
                first_keys.push_back(shift);
                first_queries.push_back(shift + (top_left ? 0 : keys_of(a, b) - queries_of(a, b)));
            }
            AttentionArguments moved = a;
            moved.first_key_positions = first_keys;
            CHECK_MESSAGE(test::same_values(unmoved, out_of(moved, call.options)), shift, ": ", call.text());
            moved.first_query_positions = first_queries;
            CHECK_MESSAGE(test::same_values(unmoved, out_of(moved, call.options)), shift, ": ", call.text());
        }
    }
    CHECK(shifted > cases / 2);
}

}  // namespace
}  // namespace headwise::tools
