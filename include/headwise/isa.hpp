#pragma once

namespace headwise {

/// The instruction sets that kernels are compiled for. A binary has those of its processor family.
enum class Isa { scalar, sse4_2, avx2, avx512, neon };

}  // namespace headwise
