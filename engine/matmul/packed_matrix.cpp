#include "engine/matmul/packed_matrix.hpp"

#include <algorithm>

#include "engine/dispatch/isa.hpp"
#include "engine/matmul/check.hpp"
#include "engine/matmul/layout.hpp"

namespace headwise {

void pack_panel(const KernelTable& kernels, const TensorView<const float, 2>& b, std::int64_t row, std::int64_t depth,
                std::int64_t column, std::int64_t columns, float* panel) {
    const float* from = b.data + row * b.stride[0] + column * b.stride[1];
    const std::int64_t to_row = panel_row(kernels, columns);
    if (rows_contiguous(b))
        kernels.matmul.copy(from, b.stride[0], depth, columns, panel, to_row);
    else
        kernels.matmul.transpose(from, b.stride[1], columns, depth, panel, to_row);
}

PackedMatrix::PackedMatrix() = default;
PackedMatrix::PackedMatrix(PackedMatrix&&) noexcept = default;
PackedMatrix& PackedMatrix::operator=(PackedMatrix&&) noexcept = default;
PackedMatrix::~PackedMatrix() = default;

PackedMatrix::PackedMatrix(const TensorView<const float, 2>& b, std::optional<Isa> isa) {
    if (isa) require_available(*isa, "isa");
    const KernelTable& kernels = kernel_table(isa ? *isa : active_isa());
    check_packable("b", b);
    auto storage = std::make_unique<Storage>();
    const std::int64_t k = b.extent[0], n = b.extent[1], width = kernels.matmul.tile_columns;
    storage->kernels = &kernels;
    storage->k = k;
    storage->n = n;
    storage->size = static_cast<std::size_t>(k * (n / width * width + panel_row(kernels, n % width)));
    storage->data.reset(static_cast<float*>(::operator new(storage->size * sizeof(float), Storage::kAlignment)));
    for (std::int64_t column = 0; k > 0 && column < n; column += width)
        pack_panel(kernels, b, 0, k, column, std::min(width, n - column), storage->data.get() + column * k);
    storage_ = std::move(storage);
}

std::int64_t PackedMatrix::rows() const noexcept {
    return storage_ ? storage_->k : 0;
}
std::int64_t PackedMatrix::columns() const noexcept {
    return storage_ ? storage_->n : 0;
}
Isa PackedMatrix::isa() const noexcept {
    return storage_ ? storage_->kernels->isa : Isa::scalar;
}
std::size_t PackedMatrix::bytes() const noexcept {
    return storage_ ? storage_->size * sizeof(float) : 0;
}

}  // namespace headwise
