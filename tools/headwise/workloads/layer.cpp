#include <algorithm>
#include <cmath>

#include "buffers/float_buffer.hpp"
#include "headwise/multi_head_attention.hpp"
#include "headwise/reference.hpp"
#include "measure/accuracy.hpp"
#include "measure/thread_team.hpp"
#include "workloads/layer_check.hpp"
#include "workloads/workload.hpp"

namespace headwise::tools {
namespace {

class LayerWorkload final : public Workload {
  public:
    explicit LayerWorkload(const LayerCase& sizes)
        : sizes_(sizes),
          x_data_(sizes.batch * sizes.length * sizes.model_dim),
          out_data_(sizes.batch * sizes.length * sizes.model_dim),
          qkv_(qkv_rows() * sizes.model_dim),
          qkv_bias_(qkv_rows()),
          output_(sizes.model_dim * sizes.model_dim),
          output_bias_(sizes.model_dim) {
        fill_random(x_data_.span(), 6);
        fill_random(qkv_.span(), 7);
        fill_random(qkv_bias_.span(), 8);
        fill_random(output_.span(), 9);
        fill_random(output_bias_.span(), 10);
        // Projections that keep the variance, as trained ones about do.
        const float shrink = 1 / std::sqrt(static_cast<float>(sizes.model_dim));
        for (float& w : qkv_.span()) w *= shrink;
        for (float& w : output_.span()) w *= shrink;
    }

    double flops() const override { return static_cast<double>(sizes_.batch) * layer_flops(sizes_, sizes_.length); }

    double read_bytes() const override {
        return static_cast<double>(sizeof(float)) * static_cast<double>(x_data_.size() + qkv_.size() + output_.size());
    }

    /// The weights as they were given: their packed copies are of the same size.
    std::vector<std::span<const float>> operands() const override { return {x_data_.span(), qkv_.span(), output_.span()}; }

    std::function<void()> prepare() override {
        const MultiHeadAttentionWeights weights{.qkv = {qkv_.data(), {qkv_rows(), sizes_.model_dim}},
                                                .output = {output_.data(), {sizes_.model_dim, sizes_.model_dim}},
                                                .qkv_bias = qkv_bias_.data(),
                                                .output_bias = output_bias_.data()};
        layer_ = std::make_unique<MultiHeadAttention>(
            MultiHeadAttentionShape{
                .num_heads = sizes_.num_heads, .num_kv_heads = sizes_.num_kv_heads, .head_dim = sizes_.head_dim()},
            weights, AttentionOptions{.causal = sizes_.causal});
        return [this] {
            layer_->forward(rows<const float>(x_data_.data(), sizes_.batch), rows<float>(out_data_.data(), sizes_.batch));
        };
    }

    std::optional<AttentionExplanation> explain_attention(std::optional<int> workers) const override {
        const AttentionShape shape{.batch = sizes_.batch,
                                   .num_heads = sizes_.num_heads,
                                   .num_kv_heads = sizes_.num_kv_heads,
                                   .query_length = sizes_.length,
                                   .key_length = sizes_.length,
                                   .head_dim = sizes_.head_dim()};
        return AttentionPlan(shape, {.causal = sizes_.causal}).explain(sizes_.length, workers);
    }

    Accuracy check() const override {
        AccuracyRecord record;
        if (is_layer_checked(sizes_)) {
            const std::int64_t count = layer_check_rows(sizes_);
            const std::int64_t last = (sizes_.batch - 1) * sizes_.length * sizes_.model_dim;
            const std::span<const float> x = x_data_.span().subspan(static_cast<std::size_t>(last));
            const double start = now();
            const std::vector<float> naive = naive_rows<float>(x, count);
            record.add_naive_time(layer_flops(sizes_, count), now() - start);
            const std::vector<double> exact = naive_rows<double>(x, count);
            const std::size_t width = static_cast<std::size_t>(sizes_.model_dim);
            const std::span<const float> engine =
                std::span<const float>(out_data_.span()).last(static_cast<std::size_t>(count) * width);
            for (std::size_t i = 0; i < engine.size(); i += width) {
                record.add(engine.subspan(i, width), std::span(naive).subspan(i, width), std::span(exact).subspan(i, width));
            }
        }
        return record.result(sizes_.batch * sizes_.length);
    }

  private:
    std::int64_t kv_dim() const { return sizes_.num_kv_heads * sizes_.head_dim(); }
    std::int64_t qkv_rows() const { return sizes_.model_dim + 2 * kv_dim(); }

    template <class T>
    TensorView<T, 3> rows(T* data, std::int64_t batch) const {
        return {data, {batch, sizes_.length, sizes_.model_dim}};
    }

    /// The last `count` rows of the sequence x by the naive loops in T. Queries and keys are of one length, so that the last rows
    /// of a causal layer are aligned with the last keys, whichever alignment the layer has.
    template <class T>
    std::vector<T> naive_rows(std::span<const float> x, std::int64_t count) const {
        const std::int64_t model = sizes_.model_dim;
        const auto convert = [](std::span<const float> values) { return std::vector<T>(values.begin(), values.end()); };
        const std::vector<T> context = convert(x), qkv = convert(qkv_.span()), bias = convert(qkv_bias_.span()),
                             output = convert(output_.span()), output_bias = convert(output_bias_.span());
        const reference::MultiHeadWeights<T> weights{.query = {qkv.data(), {model, model}},
                                                     .key = {qkv.data() + model * model, {kv_dim(), model}},
                                                     .value = {qkv.data() + (model + kv_dim()) * model, {kv_dim(), model}},
                                                     .output = {output.data(), {model, model}},
                                                     .query_bias = bias.data(),
                                                     .key_bias = bias.data() + model,
                                                     .value_bias = bias.data() + model + kv_dim(),
                                                     .output_bias = output_bias.data()};
        std::vector<T> out(static_cast<std::size_t>(count * model));
        const Causal causal = sizes_.causal == Causal::none ? Causal::none : Causal::bottom_right;
        reference::multi_head_attention<T>({context.data() + (sizes_.length - count) * model, {1, count, model}},
                                           rows<const T>(context.data(), 1), sizes_.num_heads, sizes_.num_kv_heads, weights,
                                           {out.data(), {1, count, model}}, {.causal = causal});
        return out;
    }

    LayerCase sizes_;
    FloatBuffer x_data_, out_data_, qkv_, qkv_bias_, output_, output_bias_;
    std::unique_ptr<MultiHeadAttention> layer_;
};

}  // namespace

std::unique_ptr<Workload> layer_workload(const LayerCase& sizes) {
    return std::make_unique<LayerWorkload>(sizes);
}

}  // namespace headwise::tools
