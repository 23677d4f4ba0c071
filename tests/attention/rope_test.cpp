// RoPE turns each pair of elements by its position times its frequency: for any dimension, layout and position, in place or not,
// and touches nothing else. The expected angles and products are computed here, in f64 and more.
#include "headwise/rope.hpp"

#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
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

constexpr RopePairs kBothPairs[] = {RopePairs::interleaved, RopePairs::half_split};

/// The two elements that turn together.
std::pair<std::int64_t, std::int64_t> elements_of(const RopeOptions& options, std::int64_t pair) {
    if (options.pairs == RopePairs::interleaved) return {2 * pair, 2 * pair + 1};
    return {pair, pair + options.dims / 2};
}

using PositionOf = std::function<std::int64_t(std::int64_t b, std::int64_t i)>;

PositionOf counting_from(std::int64_t first) {
    return [first](std::int64_t, std::int64_t i) { return first + i; };
}

/// The formula, with products and sums in T. In float: what naive loops over rounded cosines and sines give.
template <class T>
PlainTensor<T> turned(const TensorView<const float, 4>& x, const RopeOptions& options, const PositionOf& position_of) {
    PlainTensor<T> result(x.extent);
    for_each_element(x.extent, [&](auto... index) { element(result.view, index...) = static_cast<T>(element(x, index...)); });
    for (std::int64_t b = 0; b < x.extent[0]; ++b)
        for (std::int64_t h = 0; h < x.extent[1]; ++h)
            for (std::int64_t i = 0; i < x.extent[2]; ++i)
                for (std::int64_t pair = 0; pair < options.dims / 2; ++pair) {
                    const long double angle =
                        static_cast<long double>(position_of(b, i)) *
                        std::pow(options.base, -2.0 * static_cast<double>(pair) / static_cast<double>(options.dims));
                    const T cosine = static_cast<T>(std::cos(angle)), sine = static_cast<T>(std::sin(angle));
                    const auto [first, second] = elements_of(options, pair);
                    T &p = element(result.view, b, h, i, first), &q = element(result.view, b, h, i, second);
                    const T old = p;
                    p = old * cosine - q * sine;
                    q = old * sine + q * cosine;
                }
    return result;
}

std::uint32_t bits(float x) {
    return std::bit_cast<std::uint32_t>(x);
}

std::vector<std::uint32_t> bits(const StridedTensor& x) {
    std::vector<std::uint32_t> result;
    for_each_element(x.view().extent, [&](auto... index) { result.push_back(bits(x.at(index...))); });
    return result;
}

/// `out` is what the formula makes of x, and the elements that do not turn are copies.
void check_turned(const TensorView<const float, 4>& x, const StridedTensor& out, const RopeOptions& options,
                  const PositionOf& position_of) {
    const auto expected = turned<double>(x, options, position_of);
    const auto naive = turned<float>(x, options, position_of);
    const Accuracy accuracy = compare(out.view(), expected.view);
    INFO(accuracy.first_wrong << " " << accuracy.worst);
    CHECK(accuracy.wrong_class == 0);
    CHECK(accuracy.max_error <= allowed_error(compare(naive.view, expected.view)));
    std::int64_t changed = 0;
    for_each_element(x.extent, [&](auto b, auto h, auto i, auto d) {
        changed += d >= options.dims && bits(out.at(b, h, i, d)) != bits(element(x, b, h, i, d));
    });
    CHECK(changed == 0);
    CHECK(out.gaps_untouched());
}

/// Random x of these extents, turned out of place and then in place.
void check_rope(const StridedTensor::Extents& extent, const RopeTable& table, std::int64_t first_position, Guard guard,
                const Layout& x_layout = {}, const Layout& out_layout = {}) {
    const RopeOptions& options = table.options();
    INFO("dims " << options.dims << " of " << extent[3] << (options.pairs == RopePairs::interleaved ? " interleaved" : " in halves")
                 << ", from position " << first_position << ", x " << x_layout.text() << ", out " << out_layout.text() << ", "
                 << reproduction(test_seed()));
    RandomNumbers random(test_seed() + static_cast<std::uint64_t>(options.dims));
    const StridedTensor out(extent, out_layout, guard);
    StridedTensor x(extent, x_layout, guard);
    x.fill_normal(random, 1);
    const auto before = bits(x);
    apply_rope(x.view(), out.view(), table, {}, first_position);
    CHECK(bits(x) == before);
    check_turned(x.view(), out, options, counting_from(first_position));
    if (x_layout.repeated != Layout{}.repeated) return;  // not to be written
    apply_rope(x.view(), x.view(), table, {}, first_position);
    CHECK(bits(x) == bits(out));
    CHECK(x.gaps_untouched());
}

/// The largest error of a table's angles at some positions, as a share of what its header allows.
double worst_angle(const RopeTable& table, const std::vector<std::int64_t>& positions) {
    const auto [dims, base, pairs] = table.options();
    std::vector<float> angles(static_cast<std::size_t>(dims));
    double worst = 0;
    for (const std::int64_t position : positions) {
        table.angles(position, angles.data());
        for (std::int64_t i = 0; i < dims / 2; ++i) {
            const double frequency = std::pow(base, -2 * static_cast<double>(i) / static_cast<double>(dims));
            const long double angle = static_cast<long double>(position) * static_cast<long double>(frequency);
            const auto compare_with = [&](long double expected, float actual) {
                // An ULP is half a rounding more than the nearest float; long double rounds the angle itself, too.
                const auto nearest = static_cast<float>(std::abs(expected));
                const double ulp = static_cast<double>(std::nextafter(nearest, 2.0f) - nearest);
                const double allowed = std::max(ulp, 0x1p-50) + static_cast<double>(angle * 0x1p-64L);
                worst = std::max(worst, static_cast<double>(std::abs(static_cast<long double>(actual) - expected)) / allowed);
            };
            compare_with(std::cos(angle), angles[static_cast<std::size_t>(i)]);
            compare_with(std::sin(angle), angles[static_cast<std::size_t>(dims / 2 + i)]);
        }
    }
    return worst;
}

TEST_CASE("a table's angles are within an ULP of those of the exact product of position and frequency") {
    std::vector<std::int64_t> near(300);
    std::iota(near.begin(), near.end(), 0);
    for (const double base : {10000.0, 500000.0, 1.0, 0.25})
        for (const std::int64_t dims : {2, 6, 64}) {
            const RopeTable table({.dims = dims, .base = base}, 300);
            CHECK(table.positions() == 300);
            CHECK(table.options().dims == dims);
            CHECK(worst_angle(table, near) <= 1);
        }
}

TEST_CASE("a table for all positions up to 2^31 is as exact at the far ones") {
    constexpr std::int64_t kPositions = std::int64_t{1} << 31;
    RandomNumbers random(test_seed());
    for (const std::int64_t dims : {2, 64, 128}) {
        const RopeTable table({.dims = dims, .base = 500000}, kPositions);
        const std::int64_t kept = table.engine_angles().kept_positions;
        CHECK(kept < kPositions);
        std::vector<std::int64_t> positions{0, 511, 512, kept - 1, kept, (1 << 20) - 1, 1 << 20, 30'000'000, kPositions - 1};
        for (int i = 0; i < 300; ++i) positions.push_back(random.between(0, kPositions - 1));
        INFO(reproduction(test_seed()));
        CHECK(worst_angle(table, positions) <= 1);
    }
}

TEST_CASE("whether a row of angles is kept changes no bit, on any ISA") {
    const RopeTable table({.dims = 38, .base = 100}, 3000);
    RopeAngles nothing_kept = table.engine_angles();
    CHECK(nothing_kept.kept_positions == 3000);
    nothing_kept.kept_positions = 0;
    for (const Isa isa : available_isas()) {
        std::int64_t different = 0;
        for (std::int64_t position = 0; position < 3000; ++position) {
            float kept[38], made[38], unused[38];
            table.angles(position, kept);
            different += kernel_table(isa).rope.angles(nothing_kept, position, made) != made;
            different += std::memcmp(kept, made, sizeof made) != 0;
            different +=
                std::memcmp(kept, kernel_table(isa).rope.angles(table.engine_angles(), position, unused), sizeof kept) != 0;
        }
        CHECK(different == 0);
    }
}

TEST_CASE("every number of dims that turn, at every edge of a vector, and any number that do not") {
    const std::int64_t lanes = kernel_table(active_isa()).lanes;
    for (const RopePairs pairs : kBothPairs)
        for (std::int64_t dims = 2; dims <= 6 * lanes + 4; dims += 2) {
            const RopeTable table({.dims = dims, .pairs = pairs}, 4);
            for (const std::int64_t others : {std::int64_t{0}, std::int64_t{1}, lanes, 2 * lanes - 1, 2 * lanes + 1})
                for (const Guard guard : {Guard::above, Guard::below}) check_rope({1, 2, 4, dims + others}, table, -2, guard);
        }
}

TEST_CASE("common head dimensions at near and far positions, forwards and backwards") {
    for (const RopePairs pairs : kBothPairs)
        for (const auto& [dims, dim] : {std::pair{64, 64}, {128, 128}, {64, 192}, {32, 80}}) {
            const RopeTable table({.dims = dims, .base = 500000, .pairs = pairs}, 40000);
            for (const std::int64_t first : {-39999, -20, 0, 1000, 39960})
                check_rope({2, 3, 40, dim}, table, first, Guard::above, kBshd, kBshd);
            const RopeTable far({.dims = dims, .base = 500000, .pairs = pairs}, std::int64_t{1} << 31);
            for (const std::int64_t first : {-2147483647, 30'000'000, 2147483600})
                check_rope({2, 3, 40, dim}, far, first, Guard::above, kBshd, kBshd);
        }
}

TEST_CASE("any strides") {
    INFO(reproduction(test_seed()));
    RandomNumbers random(test_seed());
    for (int i = 0; i < test_cases(60); ++i) {
        const RopeOptions options{.dims = 2 * random.between(1, 40), .base = 100, .pairs = random.one_of(kBothPairs)};
        const RopeTable table(options, 50);
        check_rope({random.between(1, 3), random.between(1, 3), random.between(1, 40), options.dims + random.between(0, 20)}, table,
                   random.between(-49, 10), random.chance(0.5) ? Guard::above : Guard::below, random_layout(random, true),
                   random_layout(random, false));
    }
}

TEST_CASE("a pair's bits do not depend on where in the row it lies") {
    for (const RopePairs pairs : kBothPairs) {
        constexpr std::int64_t kDims = 150;
        const RopeOptions options{.dims = kDims, .base = 1, .pairs = pairs};  // all pairs turn alike
        const RopeTable table(options, 100);
        StridedTensor x({1, 1, 100, kDims}, {}, Guard::above);
        for (std::int64_t i = 0; i < 100; ++i)
            for (std::int64_t pair = 0; pair < kDims / 2; ++pair) {
                x.at(0, 0, i, elements_of(options, pair).first) = 1 / 3.0f;
                x.at(0, 0, i, elements_of(options, pair).second) = 5 / 7.0f;
            }
        apply_rope(x.view(), x.view(), table);
        std::int64_t different = 0;
        for (std::int64_t i = 0; i < 100; ++i)
            for (std::int64_t pair = 1; pair < kDims / 2; ++pair) {
                const auto [first, second] = elements_of(options, pair);
                different += bits(x.at(0, 0, i, first)) != bits(x.at(0, 0, i, 0));
                different += bits(x.at(0, 0, i, second)) != bits(x.at(0, 0, i, elements_of(options, 0).second));
            }
        CHECK(different == 0);
    }
}

TEST_CASE("positions of each token: of every sequence, shared by all, with any strides, negative ones as well") {
    constexpr std::int64_t kBatch = 3, kLength = 37;
    std::vector<std::int32_t> numbers(kBatch * kLength);
    RandomNumbers random(test_seed());
    for (auto& number : numbers) number = static_cast<std::int32_t>(random.between(-99, 99));
    using View = TensorView<const std::int32_t, 2>;
    const View views[] = {
        {numbers.data(), {kBatch, kLength}},
        {numbers.data(), {kBatch, kLength}, {1, kBatch}},
        {numbers.data() + kBatch * kLength - 1, {kBatch, kLength}, {-kLength, -1}},
        {numbers.data(), {1, kLength}},
        {numbers.data(), {kBatch, kLength}, {0, 1}},
        {numbers.data(), {kBatch, kLength}, {1, 0}},
        {numbers.data(), {1, kLength}, {std::numeric_limits<std::int64_t>::max(), 3}},
    };
    for (const RopePairs pairs : kBothPairs)
        for (const View& view : views) {
            const RopeTable table({.dims = 20, .pairs = pairs}, 100);
            const StridedTensor out({kBatch, 2, kLength, 27}, kBshd, Guard::above);
            StridedTensor x({kBatch, 2, kLength, 27}, {}, Guard::above);
            x.fill_normal(random, 1);
            apply_rope(x.view(), out.view(), table, view);
            check_turned(x.view(), out, table.options(), [&](std::int64_t b, std::int64_t i) -> std::int64_t {
                return view.data[(view.extent[0] == 1 ? 0 : b * view.stride[0]) + i * view.stride[1]];
            });
        }
}

TEST_CASE("turning by a position and then by its negative gives the row back, up to rounding") {
    for (const RopePairs pairs : kBothPairs)
        for (const std::int32_t position : {1, 77, 999}) {
            const RopeTable table({.dims = 96, .pairs = pairs}, 1000);
            RandomNumbers random(test_seed());
            StridedTensor x({1, 1, 1, 100}, {}, Guard::above);
            x.fill_normal(random, 1);
            const auto before = widened(x.view());
            apply_rope(x.view(), x.view(), table, {}, position);
            apply_rope(x.view(), x.view(), table, {}, -position);
            const Accuracy accuracy = compare(x.view(), before.view);
            CHECK(accuracy.max_error <= 8 * 0x1p-24 * accuracy.largest);
        }
}

TEST_CASE("a score depends on the distance of the positions alone") {
    constexpr std::int64_t kDim = 64;
    for (const RopePairs pairs : kBothPairs) {
        const RopeTable table({.dims = kDim, .pairs = pairs}, 5000);
        RandomNumbers random(test_seed());
        StridedTensor rows({2, 1, 1, kDim}, {}, Guard::above);  // a query and a key
        rows.fill_normal(random, 1);
        const auto score = [&](std::int32_t query_position, std::int32_t key_position) {
            const std::int32_t positions[] = {query_position, key_position};
            const StridedTensor out(rows.view().extent, {}, Guard::above);
            apply_rope(rows.view(), out.view(), table, {positions, {2, 1}});
            double sum = 0;
            for (std::int64_t d = 0; d < kDim; ++d)
                sum += static_cast<double>(out.at(0, 0, 0, d)) * static_cast<double>(out.at(1, 0, 0, d));
            return sum;
        };
        for (const std::int32_t distance : {-40, 0, 3, 1000})
            for (const std::int32_t shift : {-3000, 17, 3999})
                CHECK(std::abs(score(shift + distance, shift) - score(distance, 0)) < 64 * 4 * 0x1p-24);
        CHECK(std::abs(score(3, 0) - score(4, 0)) > 0.01);
        CHECK(std::abs(score(3, 0) - score(0, 3)) > 0.01);
    }
}

TEST_CASE("position 0 changes nothing; a NaN reaches its partner and no other element") {
    for (const RopePairs pairs : kBothPairs) {
        const RopeOptions options{.dims = 70, .pairs = pairs};
        const RopeTable table(options, 10);
        RandomNumbers random(test_seed());
        StridedTensor x({1, 1, 1, 75}, {}, Guard::above);
        x.fill_normal(random, 1);
        const StridedTensor out({1, 1, 1, 75}, {}, Guard::above);
        apply_rope(x.view(), out.view(), table);
        CHECK(bits(out) == bits(x));
        for (std::int64_t bad = 0; bad < 75; ++bad) {
            const float good = std::exchange(x.at(0, 0, 0, bad), std::numeric_limits<float>::quiet_NaN());
            apply_rope(x.view(), out.view(), table, {}, 9);
            check_turned(x.view(), out, options, counting_from(9));
            x.at(0, 0, 0, bad) = good;
        }
    }
}

TEST_CASE("the same bits on any number of threads") {
    StridedTensor x({2, 4, 700, 64}, kBshd, Guard::above);
    RandomNumbers random(test_seed());
    x.fill_normal(random, 1);
    std::vector<std::vector<std::uint32_t>> results;
    std::vector<std::vector<float>> tables;
    for (const int threads : {1, 2, 8}) {
        oneapi::tbb::task_arena arena(threads);
        arena.execute([&] {
            const RopeTable table({.dims = 64}, 700);
            const StridedTensor out(x.view().extent, {}, Guard::above);
            apply_rope(x.view(), out.view(), table);
            results.push_back(bits(out));
            tables.emplace_back(std::size_t{64} * 700);
            for (std::int64_t position = 0; position < 700; ++position)
                table.angles(position, tables.back().data() + 64 * position);
        });
    }
    for (std::size_t i = 1; i < results.size(); ++i) {
        CHECK(results[i] == results[0]);
        CHECK(tables[i] == tables[0]);
    }
}

TEST_CASE("nothing to turn") {
    const RopeTable table({.dims = 4}, 2);
    for (const StridedTensor::Extents& extent : {StridedTensor::Extents{0, 2, 2, 4}, {2, 0, 2, 4}, {2, 2, 0, 4}}) {
        const TensorView<float, 4> none(nullptr, extent);
        CHECK(message_of([&] { apply_rope(none, none, table); }) == kNoError);
    }
    const TensorView<float, 4> no_token(nullptr, {1, 1, 0, 4});
    CHECK(message_of([&] { apply_rope(no_token, no_token, table, {}, 100); }) == kNoError);
}

}  // namespace
}  // namespace headwise::test
