#include "engine/matmul/check.hpp"

#include <algorithm>
#include <string>

#include "engine/tensor/view_check.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

std::string text(std::int64_t x) {
    return std::to_string(x);
}

/// The last two axes are a matrix's; along one of them its elements must be adjacent.
template <std::size_t Rank>
void check_one_unit_stride(const char* name, const TensorView<const float, Rank>& x) {
    constexpr std::size_t kRow = Rank - 2, kColumn = Rank - 1;
    if (x.extent[kRow] <= 1 || x.extent[kColumn] <= 1 || x.stride[kRow] == 1 || x.stride[kColumn] == 1) return;
    throw Error(std::string(name) + ".stride is " + text(x.stride[kRow]) + " by " + text(x.stride[kColumn]) +
                ": the elements of its rows or those of its columns must be adjacent (one of the two must be 1)");
}

/// What is read of a factor: nothing where alpha = 0.
template <std::size_t Rank>
CheckedView read_part(const char* name, const TensorView<const float, Rank>& x, const MatmulOptions& options) {
    AnyTensor part = x;
    if (options.alpha == 0 && *std::min_element(x.extent.begin(), x.extent.end()) >= 0) part.extent.fill(0);
    return checked_view(name, part);
}

template <std::size_t Rank>
void check_options(const TensorView<float, Rank>& c, const CheckedView& checked_c, const MatmulOptions& options) {
    constexpr std::size_t kRow = Rank - 2, kColumn = Rank - 1;
    if (options.max_threads < 0)
        throw Error("options.max_threads is " + text(options.max_threads) + ": expected 0 (no limit) or the number of tasks");
    const Epilogue& epilogue = options.epilogue;
    if (const int activation = static_cast<int>(epilogue.activation);
        activation < 0 || activation > static_cast<int>(Activation::gelu_tanh))
        throw Error("options.epilogue.activation is " + text(activation) + ": not a value of Activation");
    if (epilogue.bias)
        check_apart(checked_c,
                    checked_view("options.epilogue.bias", TensorView<const float, 1>(epilogue.bias, {c.extent[kColumn]})));
    const TensorView<const float, 2>& residual = epilogue.residual;
    if (!residual.data) return;
    if constexpr (Rank == 2) {
        const char* name = "options.epilogue.residual";
        const CheckedView checked = checked_view(name, residual);
        check_extent(name, residual, 0, c.extent[kRow], "the rows of c");
        check_extent(name, residual, 1, c.extent[kColumn], "the columns of c");
        check_unit_stride(name, residual);
        const bool is_c = residual.data == c.data && (c.extent[0] <= 1 || residual.stride[0] == c.stride[0]);
        if (!is_c) check_apart(checked_c, checked);
    } else {
        throw Error("options.epilogue.residual.data is not null: a batch of products takes no residual");
    }
}

template <std::size_t Rank>
void check_product(const TensorView<const float, Rank>& a, const TensorView<const float, Rank>& b, const TensorView<float, Rank>& c,
                   const MatmulOptions& options) {
    constexpr std::size_t kRow = Rank - 2, kColumn = Rank - 1;
    const CheckedView a_read = read_part("a", a, options), b_read = read_part("b", b, options), checked_c = checked_view("c", c);
    if constexpr (Rank == 3) {
        check_extent("b", b, 0, a.extent[0], "a.extent[0], the number of products");
        check_extent("c", c, 0, a.extent[0], "a.extent[0], the number of products");
    }
    check_extent("b", b, kRow, a.extent[kColumn], "the columns of a");
    check_extent("c", c, kRow, a.extent[kRow], "the rows of a");
    check_extent("c", c, kColumn, b.extent[kColumn], "the columns of b");
    check_one_unit_stride("a", a);
    check_one_unit_stride("b", b);
    check_unit_stride("c", c);
    check_no_self_overlap("c", c);
    check_apart(checked_c, a_read);
    check_apart(checked_c, b_read);
    check_options(c, checked_c, options);
}

}  // namespace

void check_matmul(const TensorView<const float, 2>& a, const TensorView<const float, 2>& b, const TensorView<float, 2>& c,
                  const MatmulOptions& options) {
    check_product(a, b, c, options);
}

void check_matmul(const TensorView<const float, 3>& a, const TensorView<const float, 3>& b, const TensorView<float, 3>& c,
                  const MatmulOptions& options) {
    check_product(a, b, c, options);
}

void check_matmul(const TensorView<const float, 2>& a, const PackedMatrix& b, const TensorView<float, 2>& c,
                  const MatmulOptions& options) {
    if (!b.storage()) throw Error("b is an empty PackedMatrix (default-constructed or moved from): construct it from a matrix");
    const CheckedView a_read = read_part("a", a, options), checked_c = checked_view("c", c);
    check_extent("a", a, 1, b.rows(), "b.rows()");
    check_extent("c", c, 0, a.extent[0], "the rows of a");
    check_extent("c", c, 1, b.columns(), "b.columns()");
    check_one_unit_stride("a", a);
    check_unit_stride("c", c);
    check_no_self_overlap("c", c);
    check_apart(checked_c, a_read);
    check_options(c, checked_c, options);
}

void check_packable(const char* name, const TensorView<const float, 2>& b) {
    constexpr std::int64_t kMostLanes = 16;  // of any ISA: rows are filled up to full vectors
    checked_view(name, b);
    check_one_unit_stride(name, b);
    std::int64_t columns = 0, bytes = 0;
    const bool overflow = __builtin_add_overflow(b.extent[1], b.extent[1] > 0 ? kMostLanes - 1 : 0, &columns) ||
                          __builtin_mul_overflow(columns, b.extent[0], &bytes) ||
                          __builtin_mul_overflow(bytes, std::int64_t{sizeof(float)}, &bytes);
    if (overflow)
        throw Error(std::string(name) + " is " + text(b.extent[0]) + " x " + text(b.extent[1]) +
                        ": the size of its packed copy exceeds 64 bits",
                    ErrorKind::memory);
}

}  // namespace headwise
