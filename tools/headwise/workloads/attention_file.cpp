#include "workloads/attention_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

#include "files/attention_rules.hpp"
#include "files/tensor_names.hpp"
#include "headwise/attention.hpp"
#include "text/usage_error.hpp"

namespace headwise::tools {
namespace {

using Ranges = std::vector<std::span<const float>>;

/// Adds the first `count` tokens of x[b], of all heads.
void add_tokens(const TensorView<const float, 4>& x, std::int64_t b, std::int64_t count, Ranges& ranges) {
    const std::int64_t heads = x.extent[1], row = heads * x.extent[3];
    const float* first = x.data + b * x.stride[0];
    if (count == x.extent[2] || x.stride[2] == row) {
        ranges.emplace_back(first, static_cast<std::size_t>(count * row));
        return;
    }
    for (std::int64_t h = 0; h < heads; ++h)
        ranges.emplace_back(first + h * x.stride[1], static_cast<std::size_t>(count * x.extent[3]));
}

/// Each byte once, whatever overlaps, and ranges that touch as one: pages are shared, and most lie side by side.
Ranges joined(Ranges ranges) {
    std::ranges::sort(ranges, {}, [](std::span<const float> range) { return range.data(); });
    Ranges result;
    for (const std::span<const float> range : ranges) {
        if (range.empty()) continue;
        if (result.empty() || range.data() > result.back().data() + result.back().size()) {
            result.push_back(range);
            continue;
        }
        std::span<const float>& last = result.back();
        const auto size = static_cast<std::size_t>(range.data() - last.data()) + range.size();
        last = {last.data(), std::max(last.size(), size)};
    }
    return result;
}

/// Of k or v, contiguous in either layout, what the sequences' lengths and pages have in use.
Ranges ranges_in_use(const TensorView<const float, 4>& x, const AttentionArguments& rules) {
    Ranges ranges;
    const TensorView<const std::int32_t, 2>& table = rules.page_table;
    const std::int64_t sequences = table.data != nullptr ? table.extent[0] : x.extent[0], tokens = x.extent[2];
    for (std::int64_t b = 0; b < sequences; ++b) {
        const std::int64_t keys = rules.key_lengths.empty() ? tokens : rules.key_lengths[static_cast<std::size_t>(b)];
        if (table.data == nullptr) {
            add_tokens(x, b, keys, ranges);
            continue;
        }
        for (std::int64_t first = 0, i = 0; first < keys; first += tokens, ++i)
            add_tokens(x, table.data[b * table.stride[0] + i], std::min(tokens, keys - first), ranges);
    }
    return joined(std::move(ranges));
}

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

    /// Pages that sequences share are there once.
    std::vector<std::span<const float>> operands() const override {
        const AttentionArguments call = arguments();
        Ranges ranges = ranges_in_use(call.key, call);
        std::ranges::copy(ranges_in_use(call.value, call), std::back_inserter(ranges));
        return ranges;
    }

    std::function<void()> prepare() override { return prepare_scheduled(AttentionSchedule::automatic); }

    std::function<void()> prepare_scheduled(AttentionSchedule schedule) override {
        const AttentionPlan scheduled = plan(schedule);
        workspace_.resize(std::max(workspace_.size(), scheduled.workspace_bytes()));
        return [this, scheduled] { scheduled.run(arguments(), workspace_); };
    }

    std::optional<AttentionExplanation> explain_attention(std::optional<int> workers) const override {
        return workers ? plan(AttentionSchedule::automatic).explain(arguments(), workers) : explanation_;
    }

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
    for (const RuleTensor& tensor : kRuleTensors)
        file.expect(!tensor.for_rope || !file.contains(tensor.name),
                    fmt::format("tensor '{}' is for RoPE, which profile does not support", tensor.name));
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
