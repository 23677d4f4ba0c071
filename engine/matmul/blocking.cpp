#include "engine/matmul/blocking.hpp"

#include <algorithm>

#include "engine/kernels/matmul_kernels.hpp"

namespace headwise {
namespace {

constexpr std::int64_t kFloat = sizeof(float);
constexpr std::int64_t kVector = 16;  // floats, of the longest vectors and of a cache line

std::int64_t divide_up(std::int64_t a, std::int64_t b) {
    return (a + b - 1) / b;
}
std::int64_t round_up(std::int64_t a, std::int64_t unit) {
    return divide_up(a, unit) * unit;
}

/// The length of the parts when `length` is cut into as few as possible of at most `most`, all about equal and multiples of `unit`.
std::int64_t even_part(std::int64_t length, std::int64_t most, std::int64_t unit) {
    const std::int64_t parts = std::max<std::int64_t>(1, divide_up(length, std::max(most, unit)));
    return std::max(unit, round_up(divide_up(length, parts), unit));
}

// Packing a panel costs what about this many rows of the product cost.
constexpr std::int64_t kRowsWorthPacking = 64;
// Multiply-adds below which a product is not worth another task: waking a worker takes some 5 us.
constexpr double kWorkOfTask = 1 << 20;
constexpr std::int64_t kItemsOfWorker = 8;

}  // namespace

MatmulBlocking choose_blocking(const MatmulProblem& p, const CacheSizes& reported, int workers) {
    const CacheSizes caches = reported.usable();
    MatmulBlocking block;
    block.pack_b = p.b == PanelSource::columns ||
                   (p.b == PanelSource::rows && p.m >= kRowsWorthPacking &&
                    static_cast<double>(p.k) * static_cast<double>(p.b_row) * kFloat > static_cast<double>(caches.l2) / 2);
    block.pack_a = p.a_columns && p.n >= kRowsWorthPacking;

    block.kc = std::min(p.k, kSumDepth);

    const double work =
        static_cast<double>(p.batch) * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
    block.workers = static_cast<int>(std::clamp(work / kWorkOfTask, 1.0, static_cast<double>(workers)));

    const std::int64_t most_columns =
        block.pack_b ? caches.l3 / 2 / block.workers / (std::max<std::int64_t>(block.kc, 1) * kFloat) : p.n;
    block.item_rows = p.m;
    block.item_columns = even_part(p.n, std::max(most_columns, p.tile_columns), p.tile_columns);
    if (block.workers > 1) {
        const std::int64_t unit = round_up(64, p.tile_columns), target = kItemsOfWorker * block.workers;
        const std::int64_t column_items = std::max<std::int64_t>(1, divide_up(target, p.batch));
        block.item_columns = std::min(block.item_columns, even_part(p.n, p.n / column_items, unit));
        const std::int64_t row_items = divide_up(target, p.batch * divide_up(p.n, block.item_columns));
        block.item_rows =
            even_part(p.m, std::max(p.m / row_items, block.pack_b ? 4 * kRowsWorthPacking : p.tile_rows), p.tile_rows);
    }
    const bool parks_sums = p.keeps_c && p.k > block.kc;
    if (parks_sums) {
        const std::int64_t most_sums = caches.l3 / 2 / block.workers / kFloat;
        block.item_rows = std::min(block.item_rows, even_part(p.m, most_sums / block.item_columns, p.tile_rows));
    }
    block.row_items = divide_up(p.m, std::max<std::int64_t>(block.item_rows, 1));
    block.column_items = divide_up(p.n, std::max<std::int64_t>(block.item_columns, 1));

    const std::int64_t most_rows = caches.l2 / 2 / (std::max<std::int64_t>(block.kc, 1) * kFloat);
    block.mc = even_part(block.item_rows, most_rows, p.tile_rows);

    block.packed_a_row = round_up(block.kc, kVector) + kVector;
    block.packed_a_size = block.pack_a ? block.mc * block.packed_a_row : 0;
    block.packed_b_size = block.pack_b ? block.kc * block.item_columns : 0;
    block.sums_size = parks_sums ? block.item_rows * block.item_columns : 0;
    return block;
}

}  // namespace headwise
