#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "buffers/float_buffer.hpp"
#include "headwise/attention.hpp"
#include "headwise/attention_weights.hpp"
#include "headwise/merge_states.hpp"

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

/// One call: of attention or, where they are given, one of the other two. All point into a VariantMemory.
struct VariantCall {
    AttentionShape shape;  ///< value_dim filled in
    AttentionOptions options{};
    AttentionArguments arguments{};
    AttentionWeights weights{};              ///< attention_weights() of all heads and queries writes these
    std::array<AttentionState, 2> states{};  ///< merge_states() of these into arguments.out and arguments.log_sum_exp

    bool weighs() const { return weights.weights.data || weights.top_weights.data; }
    bool merges() const { return states[0].out.data != nullptr; }
    /// Of the pairs that positions and lengths allow; masks take nothing away. Of weights: those of the first product.
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
