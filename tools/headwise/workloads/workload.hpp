#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cases/case.hpp"
#include "files/attention_tensors.hpp"
#include "measure/accuracy.hpp"

namespace headwise::tools {

/// One thing to be timed: tensors of certain sizes and the engine call on them.
class Workload {
  public:
    virtual ~Workload() = default;

    virtual double flops() const = 0;

    /// Bytes that must be read at least: of keys and values; of the matrices.
    virtual double read_bytes() const = 0;

    /// Where they lie. Valid as long as the workload, once prepare() has been called.
    virtual std::vector<std::span<const float>> operands() const = 0;

    /// A call of the engine for the active ISA and the calling thread's arena, ready to be repeated. Valid as long as the workload.
    virtual std::function<void()> prepare() = 0;

    /// The same with the tasks of attention cut in this way. Throws UsageError where the schedule is not automatic and the workload
    /// is not attention alone.
    virtual std::function<void()> prepare_scheduled(AttentionSchedule schedule);

    /// How the engine cuts the attention in it, on the calling thread's arena; none where there is none.
    virtual std::optional<AttentionExplanation> explain_attention(std::optional<int> /*workers*/ = {}) const {
        return std::nullopt;
    }

    /// Compares what the last call left; runs the naive loops.
    virtual Accuracy check() const = 0;
};

std::unique_ptr<Workload> attention_workload(AttentionTensors tensors);
std::unique_ptr<Workload> matmul_workload(const MatmulCase& sizes);
std::unique_ptr<Workload> layer_workload(const LayerCase& sizes);

/// The workload of the sizes, on random tensors.
std::unique_ptr<Workload> make_workload(const CaseSizes& sizes);

}  // namespace headwise::tools
