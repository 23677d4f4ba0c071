#include "commands/attention_weights_tensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

#include "buffers/memory_limit.hpp"
#include "text/usage_error.hpp"

namespace headwise::tools {
namespace {

double element_count(std::initializer_list<std::int64_t> extents) {
    double result = 1;
    for (const std::int64_t extent : extents) result *= static_cast<double>(extent);
    return result;
}

/// How many are chosen of `all`.
std::int64_t count_of(const std::vector<std::int32_t>& choice, std::int64_t all) {
    return choice.empty() ? all : std::ssize(choice);
}

/// The number of the i-th that is chosen.
std::int64_t chosen_at(const std::vector<std::int32_t>& choice, std::int64_t i) {
    return choice.empty() ? i : choice[static_cast<std::size_t>(i)];
}

void check_weights_memory(double bytes) {
    check_free_memory("--weights, --top-k and --key-means take", bytes, ": --heads and --queries choose fewer");
}

}  // namespace

AttentionWeightsTensors::AttentionWeightsTensors(const AttentionWeightsArguments& arguments, const AttentionFile& file,
                                                 const AttentionTensors& tensors, double scratch_bytes)
    : heads_(arguments.heads(file, tensors.sizes.shape.num_heads)),
      queries_(arguments.queries(file, tensors.sizes.shape.query_length)),
      batch_(tensors.sizes.shape.batch),
      head_count_(count_of(heads_, tensors.sizes.shape.num_heads)),
      query_count_(count_of(queries_, tensors.sizes.shape.query_length)),
      keys_(tensors.sizes.shape.key_length),
      top_(arguments.top_k.value_or(0)),
      weights_given_(arguments.weights),
      means_given_(arguments.key_means) {
    const double weights = weights_given_ ? element_count({batch_, head_count_, query_count_, keys_}) : 0,
                 means = means_given_ ? element_count({batch_, head_count_, keys_}) : 0,
                 top = element_count({batch_, head_count_, query_count_, top_});
    check_weights_memory(4 * (weights + means + 2 * top) + scratch_bytes);
    if (weights_given_) weights_ = FloatBuffer(batch_ * head_count_ * query_count_ * keys_);
    if (means_given_) key_means_ = FloatBuffer(batch_ * head_count_ * keys_);
    if (top_ == 0) return;
    top_weights_ = FloatBuffer(batch_ * head_count_ * query_count_ * top_);
    top_keys_ = std::make_unique<std::int32_t[]>(top_weights_.span().size());
}

AttentionWeights AttentionWeightsTensors::views() const {
    AttentionWeights result;
    if (weights_given_) result.weights = {weights_.data(), {batch_, head_count_, query_count_, keys_}};
    if (means_given_) result.key_means = {key_means_.data(), {batch_, head_count_, keys_}};
    if (top_ == 0) return result;
    result.top_weights = {top_weights_.data(), {batch_, head_count_, query_count_, top_}};
    result.top_keys = {top_keys_.get(), {batch_, head_count_, query_count_, top_}};
    return result;
}

void AttentionWeightsTensors::take_weights(const TensorView<const double, 4>& all, std::span<const std::int64_t> sums) const {
    float* out = weights_.data();
    for (std::int64_t b = 0; b < batch_; ++b) {
        const auto s = static_cast<std::size_t>(b);
        const std::int64_t first = sums.empty() ? 0 : sums[s], end = sums.empty() ? all.extent[2] : sums[s + 1];
        const double* rows = all.data + (sums.empty() ? b * all.stride[0] : 0) + first * all.stride[2];
        for (std::int64_t h = 0; h < head_count_; ++h) {
            for (std::int64_t i = 0; i < query_count_; ++i, out += keys_) {
                const std::int64_t query = chosen_at(queries_, i);
                if (first + query >= end) continue;  // the sequence has no such query: zeros
                const double* row = rows + chosen_at(heads_, h) * all.stride[1] + query * all.stride[2];
                std::transform(row, row + keys_, out, [](double x) { return static_cast<float>(x); });
            }
        }
    }
}

std::vector<WrittenTensor> AttentionWeightsTensors::written() const {
    std::vector<WrittenTensor> result;
    if (weights_given_) result.emplace_back("weights", std::vector{batch_, head_count_, query_count_, keys_}, weights_.span());
    if (top_ != 0) {
        result.emplace_back("top_weights", std::vector{batch_, head_count_, query_count_, top_}, top_weights_.span());
        result.emplace_back("top_keys", std::vector{batch_, head_count_, query_count_, top_},
                            std::span<const std::int32_t>(top_keys_.get(), top_weights_.span().size()));
    }
    if (means_given_) result.emplace_back("key_means", std::vector{batch_, head_count_, keys_}, key_means_.span());
    return result;
}

}  // namespace headwise::tools
