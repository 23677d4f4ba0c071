// A batch of products: any strides between them, repeated operands included.
#include <doctest/doctest.h>

#include "engine/kernels/kernel_table.hpp"
#include "tests/matmul/matmul_case.hpp"

namespace headwise::test {
namespace {

constexpr std::size_t kBatchAxis = 0, kRowAxis = 2;  // of a stored batch [batch, 1, rows, columns]

Layout repeated() {
    Layout layout;
    layout.repeated[kBatchAxis] = true;
    return layout;
}

/// Row r of all matrices, then row r + 1 of all.
Layout interleaved(std::int64_t gap = 0) {
    return {.order = {2, 0, 1}, .gap = {gap, 0, gap}};
}

Layout apart(std::int64_t between_matrices, std::int64_t between_rows, bool backwards = false) {
    Layout layout;
    layout.gap[kBatchAxis] = between_matrices;
    layout.gap[kRowAxis] = between_rows;
    layout.backwards[kBatchAxis] = backwards;
    return layout;
}

const Layout kLayouts[] = {{}, repeated(), interleaved(), interleaved(3), apart(7, 0), apart(0, 5), apart(4, 2, true)};

TEST_CASE("batches with each operand contiguous, repeated, interleaved, with gaps, in descending order") {
    for (const Layout& a : kLayouts)
        for (const Layout& b : kLayouts)
            for (const Layout& c : {Layout{}, interleaved(1), apart(3, 2), apart(4, 2, true)})
                for (const bool transposed : {false, true})
                    check_matmul({.m = 5,
                                  .n = 19,
                                  .k = 6,
                                  .batch = 3,
                                  .form = Form::batch,
                                  .a_transposed = transposed,
                                  .b_transposed = transposed,
                                  .a = a,
                                  .b = b,
                                  .c = c,
                                  .guard = transposed ? Guard::above : Guard::below,
                                  .beta = transposed ? 0.5f : 0.0f});
}

TEST_CASE("one b for the whole batch: the rows of all products, however many each has") {
    const std::int64_t tile_rows = kernel_table(active_isa()).matmul.tile_rows;
    for (std::int64_t m = 0; m <= 2 * tile_rows + 1; ++m)
        for (const std::int64_t batch : {0, 1, 2, 7})
            for (const bool a_transposed : {false, true}) {
                MatmulCase c{.m = m, .n = 67, .k = 9, .batch = batch, .form = Form::batch, .a_transposed = a_transposed};
                c.b = repeated();
                check_matmul(c);
                c.bias = true;
                c.activation = Activation::relu;
                c.beta = 1;
                check_matmul(c);
            }
}

TEST_CASE("a transposed a whose matrices lie side by side: as many rows as all have") {
    MatmulCase c{.m = 7, .n = 66, .k = 20, .batch = 4, .form = Form::batch, .a_transposed = true};
    c.a = interleaved();  // stored [k, batch, m]
    c.b = repeated();
    check_matmul(c);
}

TEST_CASE("bias and activation apply to each product of a batch") {
    for (const Activation activation : {Activation::none, Activation::relu, Activation::gelu_erf})
        for (const float beta : {0.0f, -1.0f})
            check_matmul({.m = 6,
                          .n = 21,
                          .k = 8,
                          .batch = 4,
                          .form = Form::batch,
                          .alpha = 0.5f,
                          .beta = beta,
                          .bias = true,
                          .activation = activation});
}

TEST_CASE("many small products and a few larger ones") {
    check_matmul({.m = 2, .n = 3, .k = 4, .batch = 1000, .form = Form::batch});
    check_matmul({.m = 20, .n = 20, .k = 20, .batch = 150, .form = Form::batch, .b_transposed = true});
    check_matmul({.m = 90, .n = 110, .k = 100, .batch = 3, .form = Form::batch, .a_transposed = true, .b_transposed = true});
}

}  // namespace
}  // namespace headwise::test
