// The same inputs give the same bits: on any number of threads, with b packed or not, in whatever batch and beside whatever rows.
#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <thread>
#include <vector>

#include "engine/kernels/kernel_table.hpp"
#include "engine/matmul/blocking.hpp"
#include "engine/matmul/layout.hpp"
#include "tests/matmul/matmul_case.hpp"

namespace headwise::test {
namespace {

// Lets oneTBB really start the threads that an arena asks for, however few cores there are.
const oneapi::tbb::global_control kEightThreads(oneapi::tbb::global_control::max_allowed_parallelism, 8);

Layout repeated() {
    Layout layout;
    layout.repeated[0] = true;
    return layout;
}

// Cut along rows, along columns, along both, several blocks along k, batches; with and without packing.
std::vector<MatmulCase> large_cases() {
    MatmulCase shared{.m = 50, .n = 70, .k = 120, .batch = 30, .form = Form::batch};
    shared.b = repeated();
    return {
        {.m = 1500, .n = 40, .k = 100},
        {.m = 2, .n = 3000, .k = 1100, .b_transposed = true},
        {.m = 210, .n = 330, .k = 150, .a_transposed = true, .b_transposed = true},
        {.m = 64, .n = 200, .k = 1500, .a_transposed = true},
        {.m = 150, .n = 210, .k = 200, .form = Form::packed, .bias = true, .activation = Activation::gelu_erf},
        {.m = 600, .n = 100, .k = 130, .beta = 0.5f, .bias = true, .activation = Activation::silu, .residual = Residual::c},
        {.m = 40, .n = 50, .k = 60, .batch = 50, .form = Form::batch, .b_transposed = true},
        shared,
    };
}

std::vector<std::uint32_t> bits_in_arena(const MatmulCase& c, int threads) {
    oneapi::tbb::task_arena arena(threads);
    return arena.execute([&] { return bits_of_run(c); });
}

TEST_CASE("these products really are shared among threads") {
    const MatmulKernels& kernels = kernel_table(active_isa()).matmul;
    for (const MatmulCase& c : large_cases()) {
        INFO(c.text());
        const MatmulBlocking blocking = choose_blocking({.batch = c.batch,
                                                         .m = c.m,
                                                         .n = c.n,
                                                         .k = c.k,
                                                         .tile_rows = kernels.tile_rows,
                                                         .tile_columns = kernels.tile_columns,
                                                         .a_columns = c.a_transposed,
                                                         .b = c.b_transposed ? PanelSource::columns : PanelSource::rows,
                                                         .b_row = c.n},
                                                        cpu_info().caches, 8);
        CHECK(blocking.workers > 2);
        CHECK(c.batch * blocking.row_items * blocking.column_items > 2);
    }
}

TEST_CASE("the same bits with 1, 2, 3 and 8 threads, on every run") {
    for (const MatmulCase& c : large_cases()) {
        INFO(c.text());
        const auto expected = bits_in_arena(c, 1);
        for (const int threads : {1, 2, 3, 8})
            for (int run = 0; run < 2; ++run) CHECK(bits_in_arena(c, threads) == expected);
    }
}

TEST_CASE("max_threads changes no bit") {
    for (MatmulCase c : large_cases()) {
        const auto expected = bits_in_arena(c, 8);
        for (const int limit : {1, 2, 100}) {
            c.max_threads = limit;
            CHECK(bits_in_arena(c, 8) == expected);
        }
    }
}

// Sizes on both sides of the limits from which on operands are copied and sums are parked in c.
const MatmulCase kSizes[] = {
    {.m = 1, .n = 1, .k = 7},     {.m = 7, .n = 67, .k = 33},    {.m = 13, .n = 130, .k = 2100},
    {.m = 70, .n = 66, .k = 300}, {.m = 1, .n = 300, .k = 1100}, {.m = 90, .n = 5, .k = 40},
};

/// Fills the operands so that they hold the same matrices however they are stored.
void fill_by_index(const MatmulTensors& tensors) {
    for (const TensorView<float, 3>& x : {tensors.a_view(), tensors.b_view()})
        for (std::int64_t batch = 0; batch < x.extent[0]; ++batch)
            for (std::int64_t i = 0; i < x.extent[1]; ++i)
                for (std::int64_t j = 0; j < x.extent[2]; ++j) {
                    RandomNumbers random(static_cast<std::uint64_t>((batch * x.extent[1] + i) * x.extent[2] + j));
                    x.data[batch * x.stride[0] + i * x.stride[1] + j * x.stride[2]] = random.normal();
                }
}

TEST_CASE("b packed or not, operands transposed or not, and gaps between their rows: the same bits") {
    for (const MatmulCase& size : kSizes) {
        std::vector<std::uint32_t> expected;
        for (const Form form : {Form::matrix, Form::packed, Form::batch})
            for (const bool a_transposed : {false, true})
                for (const bool b_transposed : {false, true})
                    for (const std::int64_t gap : {0, 9}) {
                        MatmulCase c = size;
                        c.form = form;
                        c.a_transposed = a_transposed;
                        c.b_transposed = b_transposed;
                        c.a.gap[2] = c.b.gap[2] = c.c.gap[2] = gap;
                        const MatmulTensors tensors(c);
                        fill_by_index(tensors);
                        run_engine(tensors);
                        INFO(c.text());
                        if (expected.empty()) expected = bits_of(tensors.c);
                        CHECK(bits_of(tensors.c) == expected);
                    }
    }
}

TEST_CASE("rows and columns have the same bits in a part of the product") {
    for (const MatmulCase& size : kSizes)
        for (const bool transposed : {false, true}) {
            MatmulCase c = size;
            c.a_transposed = c.b_transposed = transposed;
            c.bias = true;
            c.activation = Activation::gelu_tanh;
            INFO(c.text());
            const MatmulTensors whole(c), parts(c);
            run_engine(whole);
            const std::int64_t row = c.m / 3, column = c.n / 2;
            for (const auto& [first, last] : {std::pair{std::int64_t{0}, row}, {row, row + 1}, {row + 1, c.m}})
                for (const auto& [left, right] : {std::pair{std::int64_t{0}, column}, {column, column + 1}, {column + 1, c.n}}) {
                    TensorView<float, 2> a = matrix(parts.a_view(), 0), b = matrix(parts.b_view(), 0);
                    TensorView<float, 2> part = matrix(parts.c_view(), 0);
                    a.data += first * a.stride[0];
                    b.data += left * b.stride[1];
                    part.data += first * part.stride[0] + left;
                    a.extent[0] = part.extent[0] = last - first;
                    b.extent[1] = part.extent[1] = right - left;
                    MatmulOptions options = parts.options();
                    options.epilogue.bias += left;
                    matmul(a, b, part, options);
                }
            CHECK(bits_of(parts.c) == bits_of(whole.c));
        }
}

TEST_CASE("a product has the same bits alone and anywhere in a batch") {
    for (const MatmulCase& size : kSizes)
        for (const bool transposed : {false, true})
            for (const bool shared : {false, true}) {
                MatmulCase c = size;
                c.batch = 5;
                c.form = Form::batch;
                c.a_transposed = c.b_transposed = transposed;
                if (shared) c.b = repeated();
                INFO(c.text());
                const MatmulTensors together(c), alone(c);
                oneapi::tbb::task_arena team(3);
                team.execute([&] { run_engine(together); });
                for (std::int64_t i = 0; i < c.batch; ++i)
                    matmul(matrix(alone.a_view(), i), matrix(alone.b_view(), i), matrix(alone.c_view(), i));
                CHECK(bits_of(together.c) == bits_of(alone.c));
            }
}

TEST_CASE("one packed matrix is used on many threads at once") {
    const MatmulCase c{.m = 70, .n = 150, .k = 200, .form = Form::packed};
    const auto expected = bits_of_run(c);
    const MatmulTensors source(c);
    const PackedMatrix packed(matrix(source.b_view(), 0));
    std::vector<MatmulTensors> tensors;
    for (int i = 0; i < 4; ++i) tensors.emplace_back(c);
    std::vector<std::thread> callers;
    for (const MatmulTensors& t : tensors)
        callers.emplace_back([&] {
            for (int run = 0; run < 5; ++run) matmul(matrix(t.a_view(), 0), packed, matrix(t.c_view(), 0));
        });
    for (std::thread& caller : callers) caller.join();
    for (const MatmulTensors& t : tensors) CHECK(bits_of(t.c) == expected);
}

// The sums of a product that reads c at the end wait in memory of their own, those of others in c.
TEST_CASE("where sums wait for the rest of k changes no bit") {
    for (const MatmulCase& c : {MatmulCase{.m = 20, .n = 70, .k = 2500},
                                {.m = 7, .n = 9, .k = 1025},
                                {.m = 200, .n = 130, .k = 4099},
                                {.m = 200, .n = 130, .k = 4099, .a_transposed = true, .b_transposed = true}}) {
        INFO(c.text());
        const MatmulTensors in_c(c), apart(c);
        const TensorView<float, 2> sums = matrix(in_c.c_view(), 0), added = matrix(apart.c_view(), 0);
        for (std::int64_t i = 0; i < c.m; ++i)
            for (std::int64_t j = 0; j < c.n; ++j) added.data[i * added.stride[0] + j * added.stride[1]] = 0;
        matmul(matrix(in_c.a_view(), 0), matrix(in_c.b_view(), 0), sums);
        matmul(matrix(apart.a_view(), 0), matrix(apart.b_view(), 0), added, {.beta = 1});
        CHECK(bits_of(in_c.c) == bits_of(apart.c));
    }
}

TEST_CASE("products that borrow workspaces run on many threads at once") {
    const MatmulCase c{.m = 70, .n = 150, .k = 200, .a_transposed = true, .b_transposed = true};
    const auto expected = bits_of_run(c);
    std::vector<MatmulTensors> tensors;
    for (int i = 0; i < 4; ++i) tensors.emplace_back(c);
    std::vector<std::thread> callers;
    for (const MatmulTensors& t : tensors)
        callers.emplace_back([&] {
            for (int run = 0; run < 5; ++run) run_engine(t);
        });
    for (std::thread& caller : callers) caller.join();
    for (const MatmulTensors& t : tensors) CHECK(bits_of(t.c) == expected);
}

}  // namespace
}  // namespace headwise::test
