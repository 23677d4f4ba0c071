#pragma once

// Kernel code is inlined into the one function that its ISA's table points to: nothing of it is a symbol of its own.
#define HEADWISE_INLINE inline __attribute__((always_inline))

// Loops over registers must be unrolled, or the array they index lives in memory.
#if defined(__clang__)
#define HEADWISE_UNROLL _Pragma("clang loop unroll(full)")
#define HEADWISE_NO_UNROLL _Pragma("clang loop unroll(disable)")
#else
#define HEADWISE_UNROLL _Pragma("GCC unroll 64")
#define HEADWISE_NO_UNROLL _Pragma("GCC unroll 1")
#endif
// For lambdas, between the parameters and the body.
#define HEADWISE_LAMBDA_INLINE __attribute__((always_inline))
