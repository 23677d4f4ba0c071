// A packed matrix: a value of its own, which a product uses like the matrix it was made from.
#include <doctest/doctest.h>

#include <utility>
#include <vector>

#include "engine/kernels/kernel_table.hpp"
#include "engine/matmul/layout.hpp"
#include "tests/matmul/matmul_case.hpp"

namespace headwise::test {
namespace {

const MatmulCase kCase{.m = 9, .n = 70, .k = 21, .form = Form::packed};

std::vector<std::uint32_t> bits_with(const MatmulTensors& tensors, const PackedMatrix& b) {
    matmul(matrix(tensors.a_view(), 0), b, matrix(tensors.c_view(), 0));
    return bits_of(tensors.c);
}

TEST_CASE("a packed matrix knows its extents, its ISA and its size") {
    for (const auto& [k, n] : {std::pair{0, 0}, {0, 5}, {5, 0}, {1, 1}, {21, 70}, {64, 64}}) {
        std::vector<float> b(static_cast<std::size_t>(k * n));
        for (const bool transpose : {false, true}) {
            const TensorView<const float, 2> stored(b.data(), {transpose ? n : k, transpose ? k : n});
            const PackedMatrix packed(transpose ? transposed(stored) : stored);
            CHECK(packed.rows() == k);
            CHECK(packed.columns() == n);
            CHECK(packed.isa() == active_isa());
            const auto lanes = static_cast<std::size_t>(kernel_table(active_isa()).lanes);
            CHECK(packed.bytes() >= b.size() * sizeof(float));
            CHECK(packed.bytes() <= (b.size() + static_cast<std::size_t>(k) * lanes) * sizeof(float));
        }
    }
}

TEST_CASE("a matrix without elements is packed at once, whatever its other extent") {
    constexpr std::int64_t kHuge = std::int64_t{1} << 60;
    for (const auto& [k, n] : {std::pair{std::int64_t{0}, kHuge}, {kHuge, std::int64_t{0}}}) {
        const PackedMatrix packed(TensorView<const float, 2>(nullptr, {k, n}));
        CHECK(packed.rows() == k);
        CHECK(packed.columns() == n);
        CHECK(packed.bytes() == 0);
        CHECK_NOTHROW(matmul(TensorView<const float, 2>(nullptr, {0, k}), packed, TensorView<float, 2>(nullptr, {0, n}, {n, 1})));
    }
}

TEST_CASE("an empty packed matrix has no extents") {
    const PackedMatrix empty;
    CHECK(empty.rows() == 0);
    CHECK(empty.columns() == 0);
    CHECK(empty.bytes() == 0);
}

TEST_CASE("a packed matrix is a copy: changing the source later changes nothing") {
    const MatmulTensors tensors(kCase);
    const PackedMatrix packed(matrix(tensors.b_view(), 0));
    const auto expected = bits_with(tensors, packed);
    for_each_element(tensors.b.view().extent, [&](auto... index) { tensors.b.at(index...) = -1; });
    CHECK(bits_with(tensors, packed) == expected);
}

TEST_CASE("moving a packed matrix moves its content") {
    const MatmulTensors tensors(kCase);
    PackedMatrix first(matrix(tensors.b_view(), 0));
    const std::size_t bytes = first.bytes();
    const auto expected = bits_with(tensors, first);
    PackedMatrix second(std::move(first));
    CHECK(first.rows() == 0);  // NOLINT(bugprone-use-after-move): what is left is empty
    CHECK(first.bytes() == 0);
    CHECK(bits_with(tensors, second) == expected);
    PackedMatrix third;
    third = std::move(second);
    CHECK(second.columns() == 0);  // NOLINT(bugprone-use-after-move)
    CHECK(third.rows() == kCase.k);
    CHECK(third.columns() == kCase.n);
    CHECK(third.bytes() == bytes);
    CHECK(bits_with(tensors, third) == expected);
}

TEST_CASE("one packed matrix serves products with any number of rows") {
    const MatmulTensors tensors(kCase);
    const PackedMatrix packed(matrix(tensors.b_view(), 0));
    const auto expected = bits_with(tensors, packed);
    for (std::int64_t m = 1; m <= kCase.m; ++m) {
        const MatmulTensors some(kCase);
        TensorView<float, 2> a = matrix(some.a_view(), 0), c = matrix(some.c_view(), 0);
        a.extent[0] = c.extent[0] = m;
        matmul(a, packed, c);
        const auto bits = bits_of(some.c);
        CHECK(std::equal(bits.begin(), bits.begin() + m * kCase.n, expected.begin()));
    }
}

TEST_CASE("a product with a packed matrix runs on the ISA that it was packed for") {
    const Isa own = active_isa();
    const MatmulTensors tensors(kCase);
    const PackedMatrix packed(matrix(tensors.b_view(), 0));
    const auto expected = bits_with(tensors, packed);
    for (const Isa other : available_isas()) {
        set_isa(other);
        CHECK(packed.isa() == own);
        CHECK(bits_with(tensors, packed) == expected);
    }
    set_isa(own);
}

}  // namespace
}  // namespace headwise::test
