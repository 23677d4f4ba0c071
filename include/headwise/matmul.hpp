#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "headwise/activation.hpp"
#include "headwise/cpu.hpp"
#include "headwise/export.hpp"
#include "headwise/tensor.hpp"

namespace headwise {

/// Applied to each row of the product before it is written: activation(product + bias) + residual.
struct Epilogue {
    const float* bias = nullptr;  ///< [n], added to every row
    Activation activation = Activation::none;
    TensorView<const float, 2> residual{};  ///< [m, n] with unit column stride; data == nullptr: none. May be c itself.
};

struct MatmulOptions {
    float alpha = 1;  ///< c = epilogue(alpha * a * b + beta * c); 0: neither a nor b is read, and their data may be null
    float beta = 0;   ///< 0: c is not read and may hold anything
    Epilogue epilogue{};
    int max_threads = 0;  ///< at most this many tasks at once; 0: as many as the calling thread's task arena allows, in
                          ///< one of oneTBB's default size at most CpuInfo::cpu_quota
};

/// A matrix b [k, n], copied once into the layout that the kernels of one ISA read, for use as the right-hand side of many
/// products. Owns its memory. Immutable after construction: any number of threads may use it at once.
class PackedMatrix {
  public:
    HEADWISE_API PackedMatrix();
    /// b [k, n]; one of its strides is 1, the other is free (`transposed(w)` packs a weight stored [n, k]). Packed for the kernels
    /// of active_isa() unless another ISA is given. Throws Error.
    HEADWISE_API explicit PackedMatrix(const TensorView<const float, 2>& b, std::optional<Isa> isa = {});
    HEADWISE_API PackedMatrix(PackedMatrix&&) noexcept;
    HEADWISE_API PackedMatrix& operator=(PackedMatrix&&) noexcept;
    HEADWISE_API ~PackedMatrix();

    HEADWISE_API std::int64_t rows() const noexcept;     ///< k
    HEADWISE_API std::int64_t columns() const noexcept;  ///< n
    HEADWISE_API Isa isa() const noexcept;               ///< it is packed for; products with it run on this ISA
    HEADWISE_API std::size_t bytes() const noexcept;

    struct Storage;  ///< internal
    const Storage* storage() const noexcept { return storage_.get(); }

  private:
    std::unique_ptr<Storage> storage_;
};

/// c = epilogue(alpha * a * b + beta * c), f32, accumulated in f32 along k.
///
/// a [m, k], b [k, n], c [m, n]. One of each input's two strides is 1 (pass `transposed(x)` for a transposed operand); c has unit
/// column stride. Any extent may be 0; k = 0 gives epilogue(beta * c). c may not overlap a or b (the residual may be c itself).
///
/// The same inputs give the same bits on the same ISA for any number of threads. Throws Error before anything is written.
/// Thread-safe. Small products run on the calling thread; if a and b have unit column stride, without packing or allocation.
HEADWISE_API void matmul(const TensorView<const float, 2>& a, const TensorView<const float, 2>& b, const TensorView<float, 2>& c,
                         const MatmulOptions& options = {});

/// The same with an already packed b.
HEADWISE_API void matmul(const TensorView<const float, 2>& a, const PackedMatrix& b, const TensorView<float, 2>& c,
                         const MatmulOptions& options = {});

/// A batch of products c[i] = alpha * a[i] * b[i] + beta * c[i]: a [batch, m, k], b [batch, k, n], c [batch, m, n]. A batch stride
/// of 0 repeats an input. bias and activation apply to each product; residual must be empty.
HEADWISE_API void matmul(const TensorView<const float, 3>& a, const TensorView<const float, 3>& b, const TensorView<float, 3>& c,
                         const MatmulOptions& options = {});

}  // namespace headwise
