#include "workloads/workload.hpp"

#include "text/usage_error.hpp"

namespace headwise::tools {
namespace {

struct MakeWorkload {
    std::unique_ptr<Workload> operator()(const AttentionCase& sizes) const {
        return attention_workload(random_attention_tensors(sizes));
    }
    std::unique_ptr<Workload> operator()(const MatmulCase& sizes) const { return matmul_workload(sizes); }
    std::unique_ptr<Workload> operator()(const LayerCase& sizes) const { return layer_workload(sizes); }
};

}  // namespace

std::function<void()> Workload::prepare_scheduled(AttentionSchedule schedule) {
    if (schedule != AttentionSchedule::automatic) throw UsageError("only attention by itself has schedules: expected auto");
    return prepare();
}

std::unique_ptr<Workload> make_workload(const CaseSizes& sizes) {
    return std::visit(MakeWorkload{}, sizes);
}

}  // namespace headwise::tools
