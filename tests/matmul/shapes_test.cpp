// Every size at which some loop of a product changes its course: the result is right on both sides of it.
#include <doctest/doctest.h>
#include <oneapi/tbb/task_arena.h>

#include <set>

#include "engine/kernels/kernel_table.hpp"
#include "engine/matmul/blocking.hpp"
#include "tests/matmul/matmul_case.hpp"

namespace headwise::test {
namespace {

const MatmulKernels& kernels() {
    return kernel_table(active_isa()).matmul;
}

/// With both operands stored transposed everything is packed, and all blocks have a limit.
MatmulCase packing(std::int64_t m, std::int64_t n, std::int64_t k) {
    return {.m = m, .n = n, .k = k, .a_transposed = true, .b_transposed = true};
}

MatmulBlocking blocking_of(const MatmulCase& c, int workers) {
    const auto& [tile_rows, tile_columns, multiply, copy, transpose] = kernels();
    return choose_blocking({.batch = 1,
                            .m = c.m,
                            .n = c.n,
                            .k = c.k,
                            .tile_rows = tile_rows,
                            .tile_columns = tile_columns,
                            .a_columns = true,
                            .b = PanelSource::columns},
                           cpu_info().caches, workers);
}

/// The lengths in [1, last] that are the first of their kind, and their neighbours.
template <class Kind>
std::set<std::int64_t> lengths_around_changes(std::int64_t last, const Kind& kind) {
    std::set<std::int64_t> lengths;
    auto before = kind(1);
    for (std::int64_t length = 2; length <= last; ++length) {
        const auto now = kind(length);
        if (now == before) continue;
        before = now;
        lengths.insert({length - 1, length, length + 1});
    }
    return lengths;
}

TEST_CASE("any number of rows and columns up to past two tiles") {
    for (std::int64_t m = 0; m <= 2 * kernels().tile_rows + 1; ++m)
        for (std::int64_t n = 0; n <= 2 * kernels().tile_columns + 1; ++n)
            for (const Guard guard : {Guard::above, Guard::below}) check_matmul({.m = m, .n = n, .k = 5, .guard = guard});
}

TEST_CASE("any number of columns up to past two tiles, with b packed before, by the call, and for one row") {
    for (std::int64_t n = 0; n <= 2 * kernels().tile_columns + 1; ++n)
        for (const std::int64_t m : {std::int64_t{1}, kernels().tile_rows + 1})
            for (const bool transposed : {false, true}) {
                check_matmul({.m = m, .n = n, .k = 19, .b_transposed = transposed});
                check_matmul({.m = m, .n = n, .k = 19, .form = Form::packed, .b_transposed = transposed, .guard = Guard::below});
            }
}

TEST_CASE("any depth up to past two of the longest vectors, however the operands are stored") {
    // A transposed a is copied where there are enough columns, and read where it lies otherwise.
    for (std::int64_t k = 0; k <= 35; ++k)
        for (const std::int64_t n : {3, 67})
            for (const bool a_transposed : {false, true})
                for (const bool b_transposed : {false, true})
                    check_matmul({.m = 2 * kernels().tile_rows + 1,
                                  .n = n,
                                  .k = k,
                                  .a_transposed = a_transposed,
                                  .b_transposed = b_transposed});
}

TEST_CASE("any number of rows of a transposed a that is copied") {
    for (std::int64_t m = 1; m <= 35; ++m) check_matmul(packing(m, 65, 21));
}

TEST_CASE("depths at which the number of blocks along k changes") {
    const auto blocks = [](std::int64_t k) {
        const MatmulCase c = packing(7, 67, k);
        return (k + blocking_of(c, 1).kc - 1) / blocking_of(c, 1).kc;
    };
    const auto depths = lengths_around_changes(2500, blocks);
    REQUIRE_FALSE(depths.empty());
    for (const std::int64_t k : depths) {
        check_matmul(packing(7, 67, k));
        check_matmul({.m = 7, .n = kernels().tile_columns + 1, .k = k});
        check_matmul({.m = 7, .n = kernels().tile_columns + 1, .k = k, .form = Form::packed, .bias = true});
    }
}

TEST_CASE("numbers of rows at which the number of blocks of a changes") {
    const std::int64_t n = 67, k = 1024;
    const auto blocks = [&](std::int64_t m) {
        const MatmulCase c = packing(m, n, k);
        return (m + blocking_of(c, 1).mc - 1) / blocking_of(c, 1).mc;
    };
    int checked = 0;
    for (const std::int64_t m : lengths_around_changes(1100, blocks)) {
        if (++checked > 6) break;
        MatmulCase c = packing(m, n, k);
        c.max_threads = 1;
        check_matmul(c);
    }
    CHECK(checked > 0);
}

TEST_CASE("numbers of columns at which a single thread cuts c in two") {
    const std::int64_t k = 400;
    const auto items = [&](std::int64_t n) { return blocking_of(packing(1, n, k), 1).column_items; };
    const auto widths = lengths_around_changes(30'000, items);
    // Beyond that the third-level cache is so large that one case would take seconds.
    if (widths.empty()) return;
    MatmulCase c = packing(1, *widths.rbegin(), k);
    c.max_threads = 1;
    check_matmul(c);
}

TEST_CASE("sizes at which several threads cut c otherwise") {
    constexpr int kThreads = 3;
    oneapi::tbb::task_arena arena(kThreads);
    const auto check = [&](const MatmulCase& c) { arena.execute([&] { check_matmul(c); }); };
    const auto cut = [](const MatmulCase& c) {
        const MatmulBlocking blocking = blocking_of(c, kThreads);
        return std::tuple{blocking.workers, blocking.row_items, blocking.column_items};
    };
    const std::int64_t k = 100;
    const auto rows = lengths_around_changes(600, [&](std::int64_t m) { return cut(packing(m, 70, k)); });
    const auto columns = lengths_around_changes(600, [&](std::int64_t n) { return cut(packing(60, n, k)); });
    REQUIRE_FALSE(rows.empty());
    REQUIRE_FALSE(columns.empty());
    for (const std::int64_t m : rows) check(packing(m, 70, k));
    for (const std::int64_t n : columns) check(packing(60, n, k));
}

TEST_CASE("extents 0, 1 and 2: an empty sum leaves the epilogue of beta * c") {
    for (const Form form : {Form::matrix, Form::packed, Form::batch})
        for (const std::int64_t batch : {0, 1, 2}) {
            if (form != Form::batch && batch != 1) continue;
            for (const std::int64_t m : {0, 1, 2})
                for (const std::int64_t n : {0, 1, 2})
                    for (const std::int64_t k : {0, 1, 2})
                        for (const float beta : {0.0f, 0.75f})
                            check_matmul({.m = m,
                                          .n = n,
                                          .k = k,
                                          .batch = batch,
                                          .form = form,
                                          .beta = beta,
                                          .bias = m != 1,
                                          .activation = n == 1 ? Activation::none : Activation::silu});
        }
}

TEST_CASE("an empty sum over many rows and columns") {
    for (const Form form : {Form::matrix, Form::packed, Form::batch})
        for (const float beta : {0.0f, -2.0f})
            for (const bool transposed : {false, true})
                check_matmul({.m = 80,
                              .n = 2 * kernels().tile_columns + 3,
                              .k = 0,
                              .form = form,
                              .a_transposed = transposed,
                              .b_transposed = transposed,
                              .beta = beta});
}

TEST_CASE("prime sizes") {
    for (const std::int64_t m : {2, 31, 97})
        for (const std::int64_t n : {3, 61, 151})
            for (const std::int64_t k : {5, 47, 113})
                for (const bool transposed : {false, true})
                    check_matmul({.m = m, .n = n, .k = k, .a_transposed = !transposed, .b_transposed = transposed});
}

TEST_CASE("one row or one column, long") {
    for (const std::int64_t k : {1, 17, 1000, 4099})
        for (const bool transposed : {false, true})
            for (const Form form : {Form::matrix, Form::packed}) {
                check_matmul({.m = 1, .n = 1, .k = k, .form = form, .a_transposed = transposed, .b_transposed = transposed});
                check_matmul({.m = 1, .n = 131, .k = k, .form = form, .a_transposed = transposed, .b_transposed = transposed});
                check_matmul({.m = 131, .n = 1, .k = k, .form = form, .a_transposed = transposed, .b_transposed = transposed});
            }
    check_matmul({.m = 1, .n = 20'011, .k = 3});
    check_matmul({.m = 20'011, .n = 1, .k = 3});
    check_matmul({.m = 20'011, .n = 1, .k = 3, .a_transposed = true, .b_transposed = true});
}

TEST_CASE("several blocks along each dimension at once") {
    for (const auto& [a_transposed, b_transposed, form] :
         {std::tuple{false, false, Form::matrix}, {true, true, Form::matrix}, {true, false, Form::packed}})
        check_matmul({.m = 137,
                      .n = 2 * kernels().tile_columns + 5,
                      .k = 1031,
                      .form = form,
                      .a_transposed = a_transposed,
                      .b_transposed = b_transposed,
                      .max_threads = 1});
}

}  // namespace
}  // namespace headwise::test
