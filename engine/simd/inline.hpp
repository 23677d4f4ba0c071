#pragma once

// Kernel code is inlined into the one function that its ISA's table points to: nothing of it is a symbol of its own.
#define HEADWISE_INLINE inline __attribute__((always_inline))

// The register tiles are functions of their own: inlined by the dozen into one caller, g++ 12 computes the addresses of all of them
// before each loop and spills them (80 instead of 25 cycles around a tile of 1536, Zen 4).
#define HEADWISE_TILE __attribute__((noinline))

// Loops over registers must be unrolled, or the array they index lives in memory.
#if defined(__clang__)
#define HEADWISE_UNROLL _Pragma("clang loop unroll(full)")
#define HEADWISE_UNROLL_4 _Pragma("clang loop unroll_count(4)")
#define HEADWISE_NO_UNROLL _Pragma("clang loop unroll(disable)")
#else
#define HEADWISE_UNROLL _Pragma("GCC unroll 64")
#define HEADWISE_UNROLL_4 _Pragma("GCC unroll 4")
#define HEADWISE_NO_UNROLL _Pragma("GCC unroll 1")
#endif

// For lambdas, between the parameters and the body.
#define HEADWISE_LAMBDA_INLINE __attribute__((always_inline))

namespace headwise {
namespace {

/// Has the address in a register of its own from here on: g++ 12 would rather keep an index for each of the elements that are
/// loaded from it, and spill them around the loop.
HEADWISE_INLINE void keep_address(const float*& p) {
    asm("" : "+r"(p));
}

/// A compile-time constant that a generic lambda takes as its argument.
template <auto kValue>
struct Constant {
    static constexpr auto value = kValue;
};

}  // namespace
}  // namespace headwise
