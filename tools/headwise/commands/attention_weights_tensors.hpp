#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "arguments/attention_weights.hpp"
#include "buffers/float_buffer.hpp"
#include "files/attention_tensors.hpp"
#include "files/safetensors.hpp"
#include "headwise/attention_weights.hpp"

namespace headwise::tools {

/// What the arguments ask for of one call, with the memory it lies in; nothing by default.
class AttentionWeightsTensors {
  public:
    AttentionWeightsTensors() = default;

    /// Throws UsageError where there are no such heads or queries, and where the results, and the scratch memory of the call that
    /// computes them, do not fit into the memory that is free.
    AttentionWeightsTensors(const AttentionWeightsArguments& arguments, const AttentionFile& file, const AttentionTensors& tensors,
                            double scratch_bytes);

    bool empty() const { return written().empty(); }

    AttentionWeightsRequest request() const { return {heads_, queries_}; }
    AttentionWeights views() const;

    /// The weights of those asked for, from [tensor's batch, all heads, tensor's length, keys]. `sums` are those of packed queries:
    /// empty where they are not packed.
    void take_weights(const TensorView<const double, 4>& all, std::span<const std::int64_t> sums) const;

    /// As they go into a file.
    std::vector<WrittenTensor> written() const;

  private:
    std::vector<std::int32_t> heads_, queries_;  // empty: all
    std::int64_t batch_ = 0, head_count_ = 0, query_count_ = 0, keys_ = 0, top_ = 0;
    bool weights_given_ = false, means_given_ = false;
    FloatBuffer weights_, top_weights_, key_means_;
    std::unique_ptr<std::int32_t[]> top_keys_;  // as many as top_weights_
};

}  // namespace headwise::tools
