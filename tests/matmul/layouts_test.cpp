// However the operands lie in memory, the result is the same, and nothing between or beyond their rows is read into it or written.
#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include "engine/kernels/kernel_table.hpp"
#include "engine/matmul/blocking.hpp"
#include "tests/matmul/matmul_case.hpp"

namespace headwise::test {
namespace {

constexpr std::size_t kRowAxis = 2;  // of a stored matrix [batch, 1, rows, columns]

Layout rows_apart(std::int64_t gap, bool backwards = false) {
    Layout layout;
    layout.gap[kRowAxis] = gap;
    layout.backwards[kRowAxis] = backwards;
    return layout;
}

TEST_CASE("transposed operands, gaps between rows and rows in descending order") {
    for (const auto& [m, n, k] : {std::tuple{1, 1, 1}, {7, 67, 33}, {13, 70, 5}})
        for (const bool a_transposed : {false, true})
            for (const bool b_transposed : {false, true})
                for (const std::int64_t gap : {0, 1, 5, 19})
                    for (const Form form : {Form::matrix, Form::packed, Form::batch})
                        for (const Guard guard : {Guard::above, Guard::below})
                            check_matmul({.m = m,
                                          .n = n,
                                          .k = k,
                                          .form = form,
                                          .a_transposed = a_transposed,
                                          .b_transposed = b_transposed,
                                          .a = rows_apart(gap, gap == 5),
                                          .b = rows_apart(2 * gap, gap == 19),
                                          .c = rows_apart(3 * gap, gap == 1),
                                          .guard = guard});
}

TEST_CASE("vectors whose elements lie apart") {
    for (const std::int64_t gap : {1, 6})
        for (const auto& [m, n] : {std::pair{1, 70}, {70, 1}, {1, 1}})
            for (const std::int64_t k : {1, 40})
                for (const Form form : {Form::matrix, Form::packed}) {
                    const MatmulCase row{.m = m, .n = n, .k = k, .form = form, .a_transposed = true, .a = rows_apart(gap)};
                    check_matmul(row);
                    const MatmulCase column{.m = m, .n = n, .k = k, .form = form, .b = rows_apart(gap)};
                    check_matmul(column);
                    const MatmulCase columns_of_b{
                        .m = m, .n = n, .k = k, .form = form, .b_transposed = true, .b = rows_apart(gap), .c = rows_apart(gap)};
                    check_matmul(columns_of_b);
                }
}

TEST_CASE("rows of b so far apart that they are copied first") {
    const KernelTable& table = kernel_table(active_isa());
    const CacheSizes& caches = cpu_info().caches;
    for (const std::int64_t k : {33, 200})
        for (const std::int64_t extra : {0, 1}) {
            const std::int64_t m = 65, n = 2 * table.matmul.tile_columns + table.lanes + extra;
            const std::int64_t gap = caches.l2 / 2 / (k * static_cast<std::int64_t>(sizeof(float))) + 1;
            REQUIRE(choose_blocking({.batch = 1,
                                     .m = m,
                                     .n = n,
                                     .k = k,
                                     .tile_rows = table.matmul.tile_rows,
                                     .tile_columns = table.matmul.tile_columns,
                                     .b = PanelSource::rows,
                                     .b_row = n + gap},
                                    caches, 1)
                        .pack_b);
            for (const Guard guard : {Guard::above, Guard::below})
                check_matmul({.m = m, .n = n, .k = k, .b = rows_apart(gap), .guard = guard});
        }
}

TEST_CASE("an operand with stride 0 repeats its row") {
    Layout repeated;
    repeated.repeated[kRowAxis] = true;
    for (const bool a_transposed : {false, true})
        for (const bool b_transposed : {false, true})
            for (const Form form : {Form::matrix, Form::packed}) {
                MatmulCase c{.m = 9, .n = 66, .k = 20, .form = form, .a_transposed = a_transposed, .b_transposed = b_transposed};
                c.a = repeated;
                check_matmul(c);
                c.b = repeated;
                check_matmul(c);
                c.residual = Residual::separate;
                c.residual_layout = repeated;
                check_matmul(c);
            }
}

TEST_CASE("rows of an input may overlap: the windows of a signal") {
    constexpr std::int64_t kWindows = 20, kLength = 30, kColumns = 17;
    std::vector<float> signal(kWindows + kLength), filters(kLength * kColumns), c(kWindows * kColumns);
    for (std::size_t i = 0; i < signal.size(); ++i) signal[i] = static_cast<float>(i % 7) - 3;
    for (std::size_t i = 0; i < filters.size(); ++i) filters[i] = static_cast<float>(i % 5) - 2;
    const TensorView<const float, 2> windows(signal.data(), {kWindows, kLength}, {1, 1}), b(filters.data(), {kLength, kColumns});
    matmul(windows, b, TensorView<float, 2>(c.data(), {kWindows, kColumns}));
    for (std::int64_t i = 0; i < kWindows; ++i)
        for (std::int64_t j = 0; j < kColumns; ++j) {
            float expected = 0;  // small integers: exact
            for (std::int64_t p = 0; p < kLength; ++p)
                expected += signal[static_cast<std::size_t>(i + p)] * filters[static_cast<std::size_t>(p * kColumns + j)];
            CHECK(c[static_cast<std::size_t>(i * kColumns + j)] == expected);
        }
}

TEST_CASE("the stride of an axis of extent 1 means nothing") {
    constexpr std::int64_t kStrange[] = {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min(), -7, 0};
    const float a[] = {2, 3, 4}, b[] = {5, 6, 7};
    for (const std::int64_t strange : kStrange) {
        CAPTURE(strange);
        std::vector<float> c(9);
        // A column by a row: k is 1, along it nothing is ever stepped.
        matmul(TensorView<const float, 2>(a, {3, 1}, {1, strange}), TensorView<const float, 2>(b, {1, 3}, {strange, 1}),
               TensorView<float, 2>(c.data(), {3, 3}));
        CHECK(c == std::vector<float>{10, 12, 14, 15, 18, 21, 20, 24, 28});
        // A row by a column.
        matmul(TensorView<const float, 2>(a, {1, 3}, {strange, 1}), TensorView<const float, 2>(b, {3, 1}, {1, strange}),
               TensorView<float, 2>(c.data(), {1, 1}, {strange, strange}));
        CHECK(c[0] == 56);
        const PackedMatrix row(TensorView<const float, 2>(b, {1, 3}, {strange, 1}));
        matmul(TensorView<const float, 2>(a, {1, 1}, {strange, strange}), row,
               TensorView<float, 2>(c.data(), {1, 3}, {strange, 1}));
        CHECK(std::vector<float>(c.begin(), c.begin() + 3) == std::vector<float>{10, 12, 14});
        const PackedMatrix column(TensorView<const float, 2>(b, {3, 1}, {1, strange}));
        matmul(TensorView<const float, 2>(a, {1, 3}, {strange, 1}), column, TensorView<float, 2>(c.data(), {1, 1}));
        CHECK(c[0] == 56);
    }
}

TEST_CASE("many rows by a single row of b with a stride that means nothing") {
    constexpr std::int64_t kRows = 100, kColumns = 70, kStrange = std::numeric_limits<std::int64_t>::max();
    std::vector<float> a(kRows, 3), b(kColumns, 2), c(kRows * kColumns);
    matmul(TensorView<const float, 2>(a.data(), {kRows, 1}, {1, kStrange}),
           TensorView<const float, 2>(b.data(), {1, kColumns}, {kStrange, 1}), TensorView<float, 2>(c.data(), {kRows, kColumns}));
    CHECK(c == std::vector<float>(kRows * kColumns, 6));
}

TEST_CASE("the strides of operands without elements mean nothing") {
    constexpr std::int64_t kStrange = std::numeric_limits<std::int64_t>::max();
    std::vector<float> c(30, 2);
    matmul(TensorView<const float, 3>(nullptr, {2, 5, 0}, {7, kStrange, 1}),
           TensorView<const float, 3>(nullptr, {2, 0, 3}, {0, kStrange, 1}), TensorView<float, 3>(c.data(), {2, 5, 3}));
    CHECK(c == std::vector<float>(30, 0));
}

TEST_CASE("a batch of single rows at any distance by one matrix") {
    constexpr std::int64_t kStrange = std::numeric_limits<std::int64_t>::max();
    const float a[] = {1, 2, 0, 0, 3, 4, 0, 0, 5, 6}, b[] = {1, 10, 100, 1000};
    for (const std::int64_t strange : {kStrange, std::int64_t{-7}}) {
        std::vector<float> c(9, -1);
        matmul(TensorView<const float, 3>(a, {3, 1, 2}, {4, strange, 1}), TensorView<const float, 3>(b, {3, 2, 2}, {0, 2, 1}),
               TensorView<float, 3>(c.data(), {3, 1, 2}, {3, strange, 1}));
        CHECK(c == std::vector<float>{201, 2010, -1, 403, 4030, -1, 605, 6050, -1});
    }
}

TEST_CASE("operands without elements may be null") {
    std::vector<float> c(6, 2);
    const TensorView<float, 2> c_view(c.data(), {2, 3});
    const float bias[] = {1, 2, 3};
    const MatmulOptions options{.beta = 2, .epilogue = {.bias = bias}};
    matmul(TensorView<const float, 2>(nullptr, {2, 0}), TensorView<const float, 2>(nullptr, {0, 3}), c_view, options);
    CHECK(c == std::vector<float>{5, 6, 7, 5, 6, 7});
    matmul(TensorView<const float, 2>(nullptr, {2, 0}), PackedMatrix(TensorView<const float, 2>(nullptr, {0, 3})), c_view);
    CHECK(c == std::vector<float>(6, 0));
    const float a[] = {1, 2};
    matmul(TensorView<const float, 2>(a, {2, 1}), TensorView<const float, 2>(nullptr, {1, 0}),
           TensorView<float, 2>(nullptr, {2, 0}));
}

}  // namespace
}  // namespace headwise::test
