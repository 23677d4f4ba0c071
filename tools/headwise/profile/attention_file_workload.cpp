#include "profile/attention_file_workload.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "attention_rules_file.hpp"
#include "headwise/attention.hpp"
#include "usage_error.hpp"

namespace headwise::tools {
namespace {

class AttentionFileWorkload final : public Workload {
  public:
    AttentionFileWorkload(AttentionTensors tensors, AttentionRules rules)
        : tensors_(std::move(tensors)),
          rules_(std::move(rules)),
          explanation_(plan(AttentionSchedule::automatic).explain(arguments())) {}

    double flops() const override { return explanation_.flops; }

    /// Keys and values of each sequence: what the call reads and writes but for queries and results.
    double read_bytes() const override {
        const double others = static_cast<double>(tensors_.query_data.size() + tensors_.out_data.size()) * sizeof(float);
        return std::max(explanation_.bytes - others, explanation_.bytes / 2);
    }

    /// As many bytes as the call reads, of the tensors that it reads: lengths, windows and pages may leave out most of these.
    std::vector<std::span<const float>> operands() const override {
        const std::span<const float> key = tensors_.key_data.span(), value = tensors_.value_data.span();
        const double share = std::min(read_bytes() / static_cast<double>(key.size_bytes() + value.size_bytes()), 1.0);
        const auto part = [&](std::span<const float> x) {
            return x.first(static_cast<std::size_t>(share * static_cast<double>(x.size())));
        };
        return {part(key), part(value)};
    }

    std::function<void()> prepare() override { return prepare_scheduled(AttentionSchedule::automatic); }

    std::function<void()> prepare_scheduled(AttentionSchedule schedule) override {
        const AttentionPlan scheduled = plan(schedule);
        workspace_.resize(std::max(workspace_.size(), scheduled.workspace_bytes()));
        return [this, scheduled] { scheduled.run(arguments(), workspace_); };
    }

    std::optional<AttentionExplanation> explain_attention() const override { return explanation_; }

    Accuracy check() const override { return {}; }

  private:
    AttentionPlan plan(AttentionSchedule schedule) const {
        const AttentionCase& sizes = tensors_.sizes;
        AttentionOptions options{.causal = sizes.causal, .scale = sizes.scale};
        options.schedule = schedule;
        return AttentionPlan(sizes.shape, options);
    }

    AttentionArguments arguments() const { return tensors_.with_tensors(rules_.arguments()); }

    AttentionTensors tensors_;
    AttentionRules rules_;
    AttentionExplanation explanation_;
    std::vector<std::byte> workspace_;
};

}  // namespace

std::unique_ptr<Workload> attention_file_workload(const AttentionFile& file, const AttentionFileOptions& options) {
    AttentionRules rules = read_attention_rules(file);
    file.expect(!rules.scales.given() || !options.scale, "tensor 'scales' is there, --scale is given: expected one");
    for (const char* name : {"q_positions", "k_positions"})
        file.expect(!file.contains(name), fmt::format("tensor '{}' is for RoPE, which a profile has not", name));
    AttentionTensors tensors = read_attention_tensors(file, options, rules);
    try {
        auto workload = std::make_unique<AttentionFileWorkload>(std::move(tensors), std::move(rules));
        file.expect(workload->flops() > 0, "nothing to profile: there is no query, or none sees a key");
        workload->prepare()();  // masks, biases and all else are checked by a call alone
        return workload;
    } catch (const Error& error) {
        throw error_of_file(file, error);
    }
}

}  // namespace headwise::tools
