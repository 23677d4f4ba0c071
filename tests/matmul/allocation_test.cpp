// What a product allocates: nothing when it is small, a workspace once when it is large. The counter replaces malloc, so this is a
// program of its own.
#include <doctest/doctest.h>
#include <oneapi/tbb/task_arena.h>

#include "engine/matmul/layout.hpp"
#include "tests/matmul/matmul_case.hpp"
#include "tests/support/allocation_counter.hpp"

namespace headwise::test {
namespace {

template <class Call>
std::int64_t allocations_of(const Call& call) {
    const std::int64_t before = allocations_of_this_thread();
    call();
    return allocations_of_this_thread() - before;
}

std::int64_t allocations_of_run(const MatmulCase& c) {
    const MatmulTensors tensors(c);
    return allocations_of([&] { run_engine(tensors); });
}

TEST_CASE("small products allocate nothing") {
    run_engine(MatmulTensors({}));  // the first call of a process looks at the machine
    for (const std::int64_t m : {0, 1, 7, 50})
        for (const std::int64_t n : {0, 1, 63, 100})
            for (const std::int64_t k : {0, 1, 16, 100})
                for (const bool a_transposed : {false, true}) {
                    if (a_transposed && n > 63) continue;
                    MatmulCase c{.m = m, .n = n, .k = k, .a_transposed = a_transposed};
                    INFO(c.text());
                    CHECK(allocations_of_run(c) == 0);
                    c.beta = 1;
                    c.bias = true;
                    c.activation = Activation::gelu_erf;
                    c.residual = Residual::c;
                    CHECK(allocations_of_run(c) == 0);
                }
}

TEST_CASE("a batch of small products allocates nothing") {
    CHECK(allocations_of_run({.m = 7, .n = 30, .k = 20, .batch = 9, .form = Form::batch}) == 0);
}

TEST_CASE("a product with a packed matrix allocates nothing, of any size on one thread") {
    for (const std::int64_t m : {1, 30, 300}) {
        const MatmulCase c{.m = m, .n = 130, .k = 1200};
        const MatmulTensors tensors(c);
        const PackedMatrix packed(matrix(tensors.b_view(), 0));
        oneapi::tbb::task_arena arena(1);
        arena.execute(
            [&] { CHECK(allocations_of([&] { matmul(matrix(tensors.a_view(), 0), packed, matrix(tensors.c_view(), 0)); }) == 0); });
    }
}

TEST_CASE("a product that copies its operands allocates nothing once the pool has a workspace") {
    oneapi::tbb::task_arena arena(1);
    arena.execute([&] {
        for (const std::int64_t size : {5, 100, 300}) {
            const MatmulCase c{.m = size, .n = size, .k = size, .a_transposed = true, .b_transposed = true};
            const MatmulTensors tensors(c);
            run_engine(tensors);
            CHECK(allocations_of([&] { run_engine(tensors); }) == 0);
        }
    });
}

}  // namespace
}  // namespace headwise::test
