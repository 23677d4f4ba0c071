#include <algorithm>
#include <cstddef>
#include <vector>

#include "headwise/attention.hpp"
#include "headwise/reference.hpp"
#include "measure/accuracy.hpp"
#include "measure/thread_team.hpp"
#include "workloads/workload.hpp"

namespace headwise::tools {
namespace {

/// Keys that query `i` may see: 0 .. allowed_keys() - 1, whatever the alignment.
std::int64_t allowed_keys(const AttentionCase& c, std::int64_t i) {
    const std::int64_t keys = c.shape.key_length;
    if (c.causal == Causal::none) return keys;
    const std::int64_t offset = c.causal == Causal::bottom_right ? keys - c.shape.query_length : 0;
    return std::clamp<std::int64_t>(i + 1 + offset, 0, keys);
}

/// Row `i` of head `h` as a tensor of one head and one row, with `length` rows.
template <class T>
TensorView<T, 4> rows_of(const TensorView<T, 4>& x, std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t length) {
    return {x.data + b * x.stride[0] + h * x.stride[1] + i * x.stride[2], {1, 1, length, x.extent[3]}, x.stride};
}

/// The same numbers in f64, contiguous.
std::vector<double> rows_in_f64(const TensorView<const float, 4>& x) {
    std::vector<double> result;
    result.reserve(static_cast<std::size_t>(x.extent[2] * x.extent[3]));
    for (std::int64_t i = 0; i < x.extent[2]; ++i)
        result.insert(result.end(), x.data + i * x.stride[2], x.data + i * x.stride[2] + x.extent[3]);
    return result;
}

class AttentionWorkload final : public Workload {
  public:
    explicit AttentionWorkload(AttentionTensors tensors) : tensors_(std::move(tensors)) {
        const AttentionShape& s = tensors_.sizes.shape;
        for (std::int64_t i = 0; i < s.query_length; ++i) pairs_ += static_cast<double>(allowed_keys(tensors_.sizes, i));
        flops_per_pair_ = 2 * static_cast<double>(s.head_dim + s.value_dim);
        flops_ = flops_per_pair_ * pairs_ * static_cast<double>(s.batch * s.num_heads);
    }

    double flops() const override { return flops_; }

    double read_bytes() const override {
        const AttentionShape& s = tensors_.sizes.shape;
        return static_cast<double>(sizeof(float)) *
               static_cast<double>(s.batch * s.num_kv_heads * s.key_length * (s.head_dim + s.value_dim));
    }

    std::vector<std::span<const float>> operands() const override { return {tensors_.key_data.span(), tensors_.value_data.span()}; }

    std::function<void()> prepare() override { return prepare_scheduled(AttentionSchedule::automatic); }

    std::function<void()> prepare_scheduled(AttentionSchedule schedule) override {
        AttentionOptions scheduled = options();
        scheduled.schedule = schedule;
        const AttentionPlan plan(tensors_.sizes.shape, scheduled);
        workspace_.resize(std::max(workspace_.size(), plan.workspace_bytes()));
        return [this, plan] { plan.run(tensors_.query(), tensors_.key(), tensors_.value(), tensors_.out(), workspace_); };
    }

    std::optional<AttentionExplanation> explain_attention(std::optional<int> workers) const override {
        return AttentionPlan(tensors_.sizes.shape, options()).explain(tensors_.sizes.shape.key_length, workers);
    }

    Accuracy check() const override {
        const AttentionShape& s = tensors_.sizes.shape;
        const std::int64_t total = s.batch * s.num_heads * s.query_length;
        AccuracyRecord record;
        KeyValueF64 wide;
        for (const std::int64_t row : sampled_rows(total, flops_ / static_cast<double>(std::max<std::int64_t>(total, 1)))) {
            const std::int64_t h = row / s.query_length % s.num_heads;
            check_row({row / s.query_length / s.num_heads, h, row % s.query_length, h / (s.num_heads / s.num_kv_heads)}, wide,
                      record);
        }
        return record.result(total);
    }

  private:
    struct Row {
        std::int64_t b, h, i, kv_head;
    };

    /// Keys and values of one head, kept for the rows that share it.
    struct KeyValueF64 {
        std::int64_t b = -1, kv_head = -1;
        std::vector<double> key, value;
    };

    AttentionOptions options() const { return {.causal = tensors_.sizes.causal, .scale = tensors_.sizes.scale}; }

    /// A row alone needs no causal mask: it sees a prefix of the keys.
    void check_row(const Row& row, KeyValueF64& wide, AccuracyRecord& record) const {
        const AttentionShape& s = tensors_.sizes.shape;
        const std::int64_t keys = allowed_keys(tensors_.sizes, row.i);
        const auto query = rows_of(tensors_.query(), row.b, row.h, row.i, 1);
        const auto key = rows_of(tensors_.key(), row.b, row.kv_head, 0, s.key_length);
        const auto value = rows_of(tensors_.value(), row.b, row.kv_head, 0, s.key_length);
        const auto prefix = [keys](auto x) {
            x.extent[2] = keys;
            return x;
        };
        const AttentionOptions options{.scale = tensors_.sizes.scale};

        std::vector<float> naive(static_cast<std::size_t>(s.value_dim));
        const double start = now();
        reference::attention<float>(query, prefix(key), prefix(value), {naive.data(), {1, 1, 1, s.value_dim}}, options);
        record.add_naive_time(flops_per_pair_ * static_cast<double>(keys), now() - start);

        if (wide.b != row.b || wide.kv_head != row.kv_head) wide = {row.b, row.kv_head, rows_in_f64(key), rows_in_f64(value)};
        const std::vector<double> wide_query = rows_in_f64(query);
        std::vector<double> exact(naive.size());
        reference::attention<double>({wide_query.data(), {1, 1, 1, s.head_dim}}, {wide.key.data(), {1, 1, keys, s.head_dim}},
                                     {wide.value.data(), {1, 1, keys, s.value_dim}}, {exact.data(), {1, 1, 1, s.value_dim}},
                                     options);

        const std::span<const float> engine(rows_of(tensors_.out(), row.b, row.h, row.i, 1).data, naive.size());
        record.add(engine, naive, exact);
        const auto& expected = tensors_.expected_rows;
        if (const auto it = std::ranges::lower_bound(expected, row.i); it != expected.end() && *it == row.i) {
            record.add_model(engine, naive,
                             {rows_of(tensors_.expected(), row.b, row.h, it - expected.begin(), 1).data, naive.size()});
        }
    }

    AttentionTensors tensors_;
    std::vector<std::byte> workspace_;
    double pairs_ = 0;  // allowed (query, key) pairs of one head
    double flops_per_pair_ = 0;
    double flops_ = 0;
};

}  // namespace

std::unique_ptr<Workload> attention_workload(AttentionTensors tensors) {
    return std::make_unique<AttentionWorkload>(std::move(tensors));
}

}  // namespace headwise::tools
