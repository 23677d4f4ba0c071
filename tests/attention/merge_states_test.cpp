// Merging partial results over disjoint keys gives attention over all of them. The expected softmax is computed here, in f64; what
// the error may be, by the same loops in f32.
#include "headwise/merge_states.hpp"

#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/kernels/kernel_table.hpp"
#include "headwise/cpu.hpp"
#include "tests/support/accuracy.hpp"
#include "tests/support/error_message.hpp"
#include "tests/support/strided_tensor.hpp"

namespace headwise::test {
namespace {

// Lets oneTBB really start the threads that an arena asks for, however few cores there are.
const oneapi::tbb::global_control kEightThreads(oneapi::tbb::global_control::max_allowed_parallelism, 8);

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

using Extents = StridedTensor::Extents;

/// out [batch, heads, length, dim] and log_sum_exp [batch, heads, length], which is kept as [batch, heads, length, 1].
struct State {
    StridedTensor out, lse;

    explicit State(const Extents& extent, const Layout& layout = {}, const Layout& lse_layout = {}, Guard guard = Guard::above)
        : out(extent, layout, guard), lse({extent[0], extent[1], extent[2], 1}, lse_layout, guard) {}

    TensorView<float, 3> lse_view() const {
        const auto view = lse.view();
        return {view.data, {view.extent[0], view.extent[1], view.extent[2]}, {view.stride[0], view.stride[1], view.stride[2]}};
    }
    operator AttentionState() const { return {out.view(), lse_view()}; }  // NOLINT(google-explicit-constructor)

    std::vector<std::uint32_t> bits() const {
        std::vector<std::uint32_t> result;
        for (const StridedTensor* x : {&out, &lse})
            for_each_element(x->view().extent,
                             [&](auto... index) { result.push_back(std::bit_cast<std::uint32_t>(x->at(index...))); });
        return result;
    }
    void fill_normal(RandomNumbers& random) {
        out.fill_normal(random, 1);
        lse.fill_normal(random, 2);
    }
    void set_row(std::int64_t i, float out_value, float lse_value) const {
        for (std::int64_t d = 0; d < out.view().extent[3]; ++d) out.at(0, 0, i, d) = out_value;
        lse.at(0, 0, i, 0) = lse_value;
    }
};

void merge_into(const State& result, const State& a, const State& b) {
    merge_states(a, b, result.out.view(), result.lse_view());
}

// ------------------------------------------------------------------------------------------------- attention as naive loops do it

/// Queries [batch, heads, length, kHeadDim], keys [batch, heads, keys, kHeadDim], values [batch, heads, keys, dim]. Logits are
/// computed from them, since their rounding, that of a float of their size, is what rounding log_sum_exp to float has to be
/// compared with.
struct Inputs {
    static constexpr std::int64_t kHeadDim = 32;
    PlainTensor<float> queries, keys, values;

    Inputs(const Extents& extent, std::int64_t num_keys, float deviation, RandomNumbers& random)
        : queries({extent[0], extent[1], extent[2], kHeadDim}),
          keys({extent[0], extent[1], num_keys, kHeadDim}),
          values({extent[0], extent[1], num_keys, extent[3]}) {
        for (float& x : queries.data) x = deviation / std::sqrt(static_cast<float>(kHeadDim)) * random.normal();
        for (float& x : keys.data) x = random.normal();
        for (float& x : values.data) x = random.normal();
    }

    template <class T>
    std::vector<T> logits(std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t begin, std::int64_t end) const {
        std::vector<T> result;
        for (std::int64_t j = begin; j < end; ++j) {
            T sum = 0;
            for (std::int64_t d = 0; d < kHeadDim; ++d)
                sum += static_cast<T>(element(queries.view, b, h, i, d)) * static_cast<T>(element(keys.view, b, h, j, d));
            result.push_back(sum);
        }
        return result;
    }
};

/// Writes attention over the keys [begin, end), computed in T.
template <class T, class Out>
void attend(const Inputs& inputs, std::int64_t begin, std::int64_t end, const TensorView<Out, 4>& out,
            const TensorView<Out, 4>& lse) {
    for_each_element(lse.extent, [&](auto b, auto h, auto i, auto) {
        const std::vector<T> logits = inputs.logits<T>(b, h, i, begin, end);
        T max = -std::numeric_limits<T>::infinity(), sum = 0;
        for (const T logit : logits) max = std::max(max, logit);
        std::vector<T> total(static_cast<std::size_t>(out.extent[3]));
        for (std::int64_t j = begin; j < end; ++j) {
            const T weight = std::exp(logits[static_cast<std::size_t>(j - begin)] - max);
            sum += weight;
            for (std::size_t d = 0; d < total.size(); ++d)
                total[d] += weight * static_cast<T>(element(inputs.values.view, b, h, j, static_cast<std::int64_t>(d)));
        }
        for (std::size_t d = 0; d < total.size(); ++d)
            element(out, b, h, i, static_cast<std::int64_t>(d)) = static_cast<Out>(begin == end ? 0 : total[d] / sum);
        element(lse, b, h, i, 0) = static_cast<Out>(begin == end ? max : max + std::log(sum));
    });
}

struct UnionCase {
    Extents extent{1, 2, 16, 64};
    std::int64_t keys = 60;
    std::int64_t parts = 2;
    float deviation = 1;  ///< of the logits
    Layout layout{}, lse_layout{};
    Guard guard = Guard::above;
};

/// Attends to the parts in f32, merges them one by one and compares with attention to all keys.
void check_union(const UnionCase& c) {
    INFO("dim " << c.extent[3] << ", " << c.keys << " keys in " << c.parts << " parts, deviation " << c.deviation << ", out "
                << c.layout.text() << ", lse " << c.lse_layout.text() << ", " << reproduction(test_seed()));
    RandomNumbers random(test_seed());
    const Inputs inputs(c.extent, c.keys, c.deviation, random);
    const Extents lse_extent{c.extent[0], c.extent[1], c.extent[2], 1};
    PlainTensor<double> expected(c.extent), expected_lse(lse_extent);
    attend<double>(inputs, 0, c.keys, expected.view, expected_lse.view);
    PlainTensor<float> naive(c.extent), naive_lse(lse_extent);
    attend<float>(inputs, 0, c.keys, naive.view, naive_lse.view);

    const State merged(c.extent, c.layout, c.lse_layout, c.guard), part(c.extent, c.lse_layout, c.layout, c.guard);
    attend<float>(inputs, 0, c.keys / c.parts, merged.out.view(), merged.lse.view());
    for (std::int64_t p = 1; p < c.parts; ++p) {
        attend<float>(inputs, p * c.keys / c.parts, (p + 1) * c.keys / c.parts, part.out.view(), part.lse.view());
        merge_into(merged, merged, part);
    }
    const Accuracy accuracy = compare(merged.out.view(), expected.view), lse = compare(merged.lse.view(), expected_lse.view);
    CHECK(accuracy.wrong_class + lse.wrong_class == 0);
    CHECK(accuracy.max_error <= allowed_error(compare(naive.view, expected.view)));
    CHECK(lse.max_error <= allowed_error(compare(naive_lse.view, expected_lse.view)));
    CHECK(merged.out.gaps_untouched());
    CHECK(merged.lse.gaps_untouched());
}

TEST_CASE("parts merge to attention over all keys, for any value dimension") {
    const std::int64_t lanes = kernel_table(active_isa()).lanes;
    for (std::int64_t dim = 1; dim <= 3 * lanes + 1; ++dim)
        for (const Guard guard : {Guard::above, Guard::below}) check_union({.extent = {1, 2, 8, dim}, .guard = guard});
}

TEST_CASE("many parts, flat and peaked logits") {
    for (const std::int64_t parts : {2, 3, 10})
        for (const float deviation : {0.0f, 0.1f, 1.0f, 4.0f, 30.0f})
            for (const std::int64_t keys : {10, 400}) check_union({.keys = keys, .parts = parts, .deviation = deviation});
}

TEST_CASE("parts of which some are empty") {
    check_union({.keys = 1, .parts = 5});
    check_union({.keys = 3, .parts = 7});
    check_union({.keys = 0, .parts = 3});
}

TEST_CASE("any strides") {
    RandomNumbers random(test_seed());
    for (int i = 0; i < test_cases(40); ++i)
        check_union({.extent = {random.between(1, 3), random.between(1, 3), random.between(1, 40), random.between(1, 40)},
                     .layout = random_layout(random, false),
                     .lse_layout = random_layout(random, false)});
}

// ------------------------------------------------------------------------------------------------------------------- the algebra

TEST_CASE("a row of which one side has seen nothing is the other side's, bit for bit") {
    const Extents extent{1, 2, 5, 37};
    RandomNumbers random(test_seed());
    State state(extent), nothing(extent);
    state.fill_normal(random);
    state.set_row(1, -0.0f, -0.0f);
    state.set_row(2, std::bit_cast<float>(0x7fc12345), std::bit_cast<float>(0xffc54321));  // NaN of known bits
    state.set_row(3, -kInf, std::numeric_limits<float>::max());
    state.set_row(4, 1e-45f, std::numeric_limits<float>::lowest());
    for (const auto& [garbage, lse] : {std::pair{0.0f, -kInf}, {kNan, -kInf}, {kInf, -kInf}, {0.0f, kInf}, {kNan, kInf}}) {
        for_each_element(extent, [&](auto... index) { nothing.out.at(index...) = garbage; });
        for_each_element(nothing.lse.view().extent, [&](auto... index) { nothing.lse.at(index...) = lse; });
        const State left(extent), right(extent), both(extent);
        merge_into(left, nothing, state);
        merge_into(right, state, nothing);
        CHECK(left.bits() == state.bits());
        CHECK(right.bits() == state.bits());
        merge_into(both, nothing, nothing);
        for_each_element(extent, [&](auto... index) { CHECK(std::bit_cast<std::uint32_t>(both.out.at(index...)) == 0); });
        for_each_element(both.lse.view().extent, [&](auto... index) { CHECK(both.lse.at(index...) == -kInf); });
    }
}

TEST_CASE("the order of the two sides changes no bit") {
    const Extents extent{2, 3, 20, 45};
    RandomNumbers random(test_seed());
    State a(extent), b(extent);
    a.fill_normal(random);
    b.fill_normal(random);
    b.set_row(0, 0.3f, a.lse.at(0, 0, 0, 0));  // as large as the other
    const State ab(extent), ba(extent);
    merge_into(ab, a, b);
    merge_into(ba, b, a);
    CHECK(ab.bits() == ba.bits());
}

TEST_CASE("merging is associative up to rounding") {
    const Extents extent{2, 3, 20, 45};
    RandomNumbers random(test_seed());
    State a(extent), b(extent), c(extent);
    for (State* state : {&a, &b, &c}) state->fill_normal(random);
    const State left(extent), right(extent);
    merge_into(left, a, b);
    merge_into(left, left, c);
    merge_into(right, b, c);
    merge_into(right, a, right);
    const Accuracy out = compare(left.out.view(), widened(right.out.view()).view);
    CHECK(out.max_error <= 16 * 0x1p-24 * out.largest);
    const Accuracy lse = compare(left.lse.view(), widened(right.lse.view()).view);
    CHECK(lse.max_error <= 4 * 0x1p-24 * lse.largest);
}

TEST_CASE("the result may replace either side, or the log_sum_exp of the other") {
    const Extents extent{1, 2, 33, 29};
    RandomNumbers random(test_seed());
    State a(extent, kBshd, kBshd), b(extent);
    a.fill_normal(random);
    b.fill_normal(random);
    b.set_row(1, kNan, -kInf);
    a.set_row(2, kNan, -kInf);
    b.set_row(3, kNan, -kInf);
    a.set_row(3, kNan, -kInf);
    const State separate(extent);
    merge_into(separate, a, b);
    for (const bool out_of_a : {false, true})
        for (const bool lse_of_a : {false, true}) {
            const State x(extent, kBshd, kBshd), y(extent);
            for (const auto& [to, from] : {std::pair{&x, &a}, {&y, &b}}) {
                for_each_element(extent, [&](auto... index) { to->out.at(index...) = from->out.at(index...); });
                for_each_element(to->lse.view().extent, [&](auto... index) { to->lse.at(index...) = from->lse.at(index...); });
            }
            const State &out = out_of_a ? x : y, &lse = lse_of_a ? x : y;
            merge_states(x, y, out.out.view(), lse.lse_view());
            for_each_element(extent, [&](auto... index) { CHECK(out.out.at(index...) == separate.out.at(index...)); });
            for_each_element(lse.lse.view().extent,
                             [&](auto... index) { CHECK(lse.lse.at(index...) == separate.lse.at(index...)); });
        }
}

// --------------------------------------------------------------------------------------------------------------------- the values

TEST_CASE("log_sum_exp of any size and distance") {
    const Extents extent{1, 1, 1, 19};
    const State a(extent), b(extent), out(extent);
    const auto merged = [&](float a_lse, float b_lse) {
        a.set_row(0, 4, a_lse);
        b.set_row(0, -2, b_lse);
        merge_into(out, a, b);
        for (std::int64_t d = 1; d < 19; ++d) CHECK(out.out.at(0, 0, 0, d) == out.out.at(0, 0, 0, 0));
        return std::pair{out.out.at(0, 0, 0, 0), out.lse.at(0, 0, 0, 0)};
    };
    const float most = std::numeric_limits<float>::max();
    CHECK(merged(0, 0) == std::pair{1.0f, std::log(2.0f)});
    CHECK(merged(1000, 1000) == std::pair{1.0f, static_cast<float>(1000 + std::log(2.0))});
    CHECK(merged(-1e30f, -1e30f) == std::pair{1.0f, -1e30f});
    CHECK(merged(3e38f, -3e38f) == std::pair{4.0f, 3e38f});
    CHECK(merged(-most, most) == std::pair{-2.0f, most});
    CHECK(merged(-500, -800) == std::pair{4.0f, -500.0f});
    const auto [value, lse] = merged(0, std::log(3.0f));
    CHECK(std::abs(value - -0.5f) < 4e-7f);
    CHECK(std::abs(lse - std::log(4.0f)) < 4e-7f);
}

TEST_CASE("NaN and Inf stay what they are, in their rows alone") {
    const Extents extent{1, 1, 5, 21};
    RandomNumbers random(test_seed());
    State a(extent), b(extent);
    a.fill_normal(random);
    b.fill_normal(random);
    a.lse.at(0, 0, 0, 0) = kNan;
    b.lse.at(0, 0, 1, 0) = kNan;
    a.out.at(0, 0, 2, 20) = kNan;
    b.out.at(0, 0, 3, 0) = -kInf;
    a.out.at(0, 0, 4, 7) = kInf, b.out.at(0, 0, 4, 7) = -kInf;
    const State out(extent);
    merge_into(out, a, b);
    for_each_element(extent, [&](auto, auto, auto i, auto d) {
        const float x = out.out.at(0, 0, i, d);
        const bool is_nan = i < 2 || (i == 2 && d == 20) || (i == 4 && d == 7);
        CHECK(std::isnan(x) == is_nan);
        CHECK((x == -kInf) == (i == 3 && d == 0));
    });
    for (std::int64_t i = 0; i < 5; ++i) CHECK(std::isnan(out.lse.at(0, 0, i, 0)) == (i < 2));
}

TEST_CASE("the same bits on any number of threads") {
    const Extents extent{3, 5, 210, 40};
    RandomNumbers random(test_seed());
    State a(extent, kBshd), b(extent);
    a.fill_normal(random);
    b.fill_normal(random);
    std::vector<std::vector<std::uint32_t>> results;
    for (const int threads : {1, 2, 8}) {
        oneapi::tbb::task_arena arena(threads);
        const State out(extent, kBshd, kBshd);
        arena.execute([&] { merge_into(out, a, b); });
        results.push_back(out.bits());
    }
    CHECK(results[1] == results[0]);
    CHECK(results[2] == results[0]);
}

TEST_CASE("nothing to merge, and rows without elements") {
    for (const Extents& extent : {Extents{0, 2, 3, 4}, {2, 0, 3, 4}, {2, 3, 0, 4}}) {
        const TensorView<float, 4> out(nullptr, extent);
        const TensorView<float, 3> lse(nullptr, {extent[0], extent[1], extent[2]});
        CHECK(message_of([&] { merge_states({out, lse}, {out, lse}, out, lse); }) == kNoError);
    }
    const TensorView<float, 4> no_elements(nullptr, {1, 2, 2, 0}, {1, std::numeric_limits<std::int64_t>::max(), 3, 1});
    float lse[] = {0, 1, 2, -kInf};
    const TensorView<float, 3> lse_view(lse, {1, 2, 2});
    merge_states({no_elements, lse_view}, {no_elements, lse_view}, no_elements, lse_view);
    CHECK(lse[0] == std::log(2.0f));
    CHECK(lse[3] == -kInf);
}

}  // namespace
}  // namespace headwise::test
