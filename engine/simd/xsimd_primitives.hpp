#pragma once

#include <cstdint>
#include <xsimd/xsimd.hpp>

#include "engine/simd/inline.hpp"

// Everything below has internal linkage: each kernel source gets its own copy, compiled with its own flags.
namespace headwise {
namespace {

/// What xsimd offers on every architecture, under the names that kernels use. The structs that derive from it (Avx512, Avx2, ...)
/// add what xsimd lacks. x[i] is lane i.
template <class Arch>
struct XsimdPrimitives {
    using Floats = xsimd::batch<float, Arch>;
    using Mask = xsimd::batch_bool<float, Arch>;
    static constexpr int kLanes = static_cast<int>(Floats::size);

    static HEADWISE_INLINE Floats zero() { return Floats(0.0f); }
    static HEADWISE_INLINE Floats broadcast(float x) { return Floats(x); }
    static HEADWISE_INLINE Floats load(const float* p) { return Floats::load_unaligned(p); }
    static HEADWISE_INLINE void store(float* p, Floats x) { x.store_unaligned(p); }
    static HEADWISE_INLINE Mask less(Floats a, Floats b) { return a < b; }
    static HEADWISE_INLINE Floats select(Mask mask, Floats a, Floats b) { return xsimd::select(mask, a, b); }
    static HEADWISE_INLINE bool any(Mask mask) { return xsimd::any(mask); }
};

}  // namespace
}  // namespace headwise
