#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "float_buffer.hpp"
#include "headwise/attention.hpp"

namespace headwise::tools {

/// What the tensors of a workload lie in: memory that is handed out piece by piece and stays where it is, however often its owner
/// moves.
class VariantMemory {
  public:
    std::span<float> zeros(std::int64_t size);
    std::span<float> random_floats(std::int64_t size);  ///< others in each piece, the same in each run
    std::span<std::uint8_t> bytes(std::int64_t size);   ///< zero
    std::span<std::int32_t> integers(std::int64_t size);

  private:
    std::vector<FloatBuffer> floats_;
    std::vector<std::vector<std::uint8_t>> bytes_;
    std::vector<std::vector<std::int32_t>> integers_;
};

/// One call of attention. The arguments point into a VariantMemory.
struct VariantCall {
    AttentionShape shape;  ///< value_dim filled in
    AttentionOptions options{};
    AttentionArguments arguments{};

    /// Of the pairs that positions and lengths allow; masks take nothing away.
    double flops() const;
    /// Bytes of keys and values.
    double read_bytes() const;
    /// Where they lie.
    std::vector<std::span<const float>> operands() const;
};

/// A variant and the plain case beside it. Where they can they share their tensors, so that nothing differs but the variant.
struct VariantWorkload {
    VariantMemory memory;
    VariantCall plain, variant;
};

/// Contiguous random tensors [batch, heads, length, dim]; the variant is the plain case itself.
VariantWorkload plain_workload(const AttentionShape& shape, Causal causal);

/// The call, ready to be repeated, for the active ISA and the calling thread's arena. Valid as long as its memory.
std::function<void()> prepare(const VariantCall& call);

}  // namespace headwise::tools
