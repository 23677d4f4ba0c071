// How products are cut is arithmetic on sizes: it holds for any problem and any caches, also those that no machine here has.
#include "engine/matmul/blocking.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "engine/kernels/matmul_kernels.hpp"
#include "tests/support/random_numbers.hpp"

namespace headwise::test {
namespace {

constexpr std::int64_t kFloat = sizeof(float);
constexpr std::int64_t kMostWorkers = 300;

struct Setting {
    MatmulProblem problem;
    CacheSizes caches;
    int workers = 1;
    std::uint64_t seed = 0;

    std::string text() const {
        const auto& p = problem;
        const auto number = [](std::int64_t x) { return std::to_string(x); };
        return "batch=" + number(p.batch) + ",m=" + number(p.m) + ",n=" + number(p.n) + ",k=" + number(p.k) +
               ",tile=" + number(p.tile_rows) + "x" + number(p.tile_columns) + ",a_columns=" + number(p.a_columns) +
               ",b=" + number(static_cast<int>(p.b)) + ",b_row=" + number(p.b_row) + ",keeps_c=" + number(p.keeps_c) +
               ",l2=" + number(caches.l2) + ",l3=" + number(caches.l3) + ",workers=" + number(workers) + "\n" + reproduction(seed);
    }
};

/// Any order of magnitude alike.
std::int64_t random_length(RandomNumbers& random, int most_bits) {
    return random.between(0, (std::int64_t{1} << random.between(0, most_bits)) - 1);
}

std::int64_t random_cache(RandomNumbers& random, std::int64_t usual) {
    const std::int64_t sizes[] = {usual, usual, 2 * usual, 8 * usual, usual / 2 + 1, random.between(0, 4 * usual), 0, 1, 12'345};
    return random.one_of(sizes);
}

Setting random_setting(std::uint64_t seed) {
    RandomNumbers random(seed);
    Setting s{.problem = {}, .caches = {}, .workers = 1, .seed = seed};
    MatmulProblem& p = s.problem;
    const bool huge = random.chance(0.1);
    p.batch = std::max<std::int64_t>(1, random_length(random, random.chance(0.5) ? 1 : 12));
    p.m = std::max<std::int64_t>(1, random_length(random, huge ? 30 : 14));
    p.n = std::max<std::int64_t>(1, random_length(random, huge ? 30 : 14));
    p.k = random_length(random, huge ? 20 : 14);
    p.tile_rows = random.one_of<std::int64_t>({1, 4, 6, 6, 8, 14});
    p.tile_columns = random.one_of<std::int64_t>({2, 8, 12, 16, 32, 64});
    p.a_columns = random.chance(0.5);
    p.b = random.one_of({PanelSource::packed, PanelSource::rows, PanelSource::columns});
    p.b_row = p.n + (random.chance(0.5) ? 0 : random_length(random, 20));
    p.keeps_c = random.chance(0.3);
    s.caches.l2 = random_cache(random, 512 << 10);
    s.caches.l3 = random_cache(random, 8 << 20);
    s.workers = static_cast<int>(random.one_of<std::int64_t>({1, 2, 3, 8, random.between(1, kMostWorkers)}));
    return s;
}

/// Calls check(setting, its blocking) for many settings.
template <class Check>
void for_each_setting(const Check& check) {
    const int cases = test_cases(20'000);
    for (int i = 0; i < cases; ++i) {
        const Setting setting = random_setting(test_seed() + static_cast<std::uint64_t>(i));
        INFO(setting.text());
        check(setting, choose_blocking(setting.problem, setting.caches, setting.workers));
    }
}

TEST_CASE("the work items cover c once, and none is empty") {
    for_each_setting([](const Setting& s, const MatmulBlocking& b) {
        const auto covers = [](std::int64_t items, std::int64_t size, std::int64_t length) {
            return items > 0 && size > 0 && items * size >= length && (items - 1) * size < length;
        };
        CHECK(covers(b.row_items, b.item_rows, s.problem.m));
        CHECK(covers(b.column_items, b.item_columns, s.problem.n));
    });
}

TEST_CASE("blocks are cut between tiles") {
    for_each_setting([](const Setting& s, const MatmulBlocking& b) {
        CHECK(b.item_columns % s.problem.tile_columns == 0);
        CHECK((b.row_items == 1 || b.item_rows % s.problem.tile_rows == 0));
        CHECK(b.mc > 0);
        CHECK(b.mc % s.problem.tile_rows == 0);
    });
}

TEST_CASE("blocks along k are whole sums, and no sum is parked in a c that is still to be read") {
    for_each_setting([](const Setting& s, const MatmulBlocking& b) {
        CHECK(b.kc == std::min(s.problem.k, kSumDepth));
        const bool parks = s.problem.keeps_c && s.problem.k > b.kc;
        CHECK(b.sums_size == (parks ? b.item_rows * b.item_columns : 0));
    });
}

TEST_CASE("a block of a stays in the second cache, what is packed of b in the third") {
    for_each_setting([](const Setting& s, const MatmulBlocking& b) {
        const std::int64_t row = b.kc * kFloat, panel = s.problem.tile_columns * row;
        // Up to the rounding to whole tiles; one tile is the least there is.
        CHECK(b.mc * row <= s.caches.l2 / 2 + s.problem.tile_rows * row);
        if (b.pack_b) CHECK(b.workers * b.item_columns * row <= s.caches.l3 / 2 + b.workers * panel);
    });
}

TEST_CASE("what is packed or parked stays small whatever cache is reported") {
    for_each_setting([](const Setting& s, const MatmulBlocking&) {
        CacheSizes absurd = s.caches;
        absurd.l2 = absurd.l3 = std::int64_t{1} << 50;
        const MatmulBlocking b = choose_blocking(s.problem, absurd, s.workers);
        const std::int64_t panel = s.problem.tile_columns * b.kc * kFloat;
        if (b.pack_b) CHECK(b.workers * b.packed_b_size * kFloat <= (std::int64_t{16} << 20) + b.workers * panel);
        CHECK(b.mc * b.kc * kFloat <= (std::int64_t{2} << 20) + s.problem.tile_rows * b.kc * kFloat);
        const std::int64_t rows_of_sums = s.problem.tile_rows * b.item_columns * kFloat;
        CHECK(b.workers * b.sums_size * kFloat <= (std::int64_t{16} << 20) + b.workers * rows_of_sums);
    });
}

TEST_CASE("the buffers hold what is packed") {
    for_each_setting([](const Setting& s, const MatmulBlocking& b) {
        // Rows of a packed block of a are filled up to vectors of at most 16.
        CHECK(b.packed_a_row >= (b.kc + 15) / 16 * 16);
        CHECK(b.packed_a_size == (b.pack_a ? b.mc * b.packed_a_row : 0));
        CHECK((b.pack_b ? b.packed_b_size >= b.kc * b.item_columns : b.packed_b_size == 0));
        if (s.problem.b == PanelSource::packed) CHECK_FALSE(b.pack_b);
        if (s.problem.b == PanelSource::columns) CHECK(b.pack_b);
        if (!s.problem.a_columns) CHECK_FALSE(b.pack_a);
    });
}

TEST_CASE("no more workers than there are, and none for little work") {
    for_each_setting([](const Setting& s, const MatmulBlocking& b) {
        CHECK(b.workers >= 1);
        CHECK(b.workers <= s.workers);
        const auto& p = s.problem;
        const double work =
            static_cast<double>(p.batch) * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
        if (work < 1e6) CHECK(b.workers == 1);
        if (work > 1e10) CHECK(b.workers == s.workers);
    });
}

TEST_CASE("every worker finds an item where c is large enough to be cut") {
    for_each_setting([](const Setting& s, const MatmulBlocking& b) {
        // Items are at least 64 columns, and 256 rows where each packs b for itself.
        const std::int64_t cuts = s.problem.batch * (s.problem.m / 512) * (s.problem.n / 128);
        const std::int64_t items = s.problem.batch * b.row_items * b.column_items;
        CHECK(items >= std::min<std::int64_t>(cuts, b.workers));
    });
}

TEST_CASE("small products on usual caches are not cut, and rows of b are read where they lie") {
    const CacheSizes caches;
    for (const std::int64_t tile_columns : {8, 16, 64})
        for (std::int64_t size = 1; size <= 100; ++size) {
            const MatmulBlocking b = choose_blocking({.batch = 1,
                                                      .m = size,
                                                      .n = size,
                                                      .k = size,
                                                      .tile_rows = 6,
                                                      .tile_columns = tile_columns,
                                                      .b = PanelSource::rows,
                                                      .b_row = size},
                                                     caches, 64);
            CHECK(b.workers == 1);
            CHECK(b.row_items == 1);
            CHECK(b.column_items == 1);
            CHECK(b.kc == size);
            CHECK(b.mc >= size);
            CHECK_FALSE(b.pack_a);
            CHECK_FALSE(b.pack_b);
        }
}

}  // namespace
}  // namespace headwise::test
