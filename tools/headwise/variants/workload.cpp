#include "variants/workload.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>

namespace headwise::tools {

std::span<float> VariantMemory::zeros(std::int64_t size) {
    floats_.emplace_back(size);
    return floats_.back().span();
}

std::span<float> VariantMemory::random_floats(std::int64_t size) {
    const std::span<float> piece = zeros(size);
    fill_random(piece, floats_.size());
    return piece;
}

std::span<std::uint8_t> VariantMemory::bytes(std::int64_t size) {
    return bytes_.emplace_back(static_cast<std::size_t>(size));
}

std::span<std::int32_t> VariantMemory::integers(std::int64_t size) {
    return integers_.emplace_back(static_cast<std::size_t>(size));
}

double VariantCall::flops() const {
    if (merges()) return 3 * static_cast<double>(shape.batch * shape.num_heads * shape.query_length * shape.value_dim);
    const double both = AttentionPlan(shape, options).explain(arguments).flops;
    return weighs() ? both * static_cast<double>(shape.head_dim) / static_cast<double>(shape.head_dim + shape.value_dim) : both;
}

double VariantCall::read_bytes() const {
    const auto& k = arguments.key.extent;
    return static_cast<double>(sizeof(float)) * static_cast<double>(k[0] * k[1] * k[2] * (k[3] + arguments.value.extent[3]));
}

std::vector<std::span<const float>> VariantCall::operands() const {
    const auto all = [](const TensorView<const float, 4>& x) {
        if (std::ranges::find(x.extent, 0) != x.extent.end()) return std::span<const float>();
        std::int64_t last = 0;
        for (std::size_t i = 0; i < 4; ++i) last += (x.extent[i] - 1) * x.stride[i];
        return std::span(x.data, static_cast<std::size_t>(last + 1));
    };
    return {all(arguments.key), all(arguments.value)};
}

VariantWorkload plain_workload(const AttentionShape& shape, Causal causal) {
    const AttentionShape& s = shape;
    VariantWorkload w;
    const auto random = [&](std::int64_t heads, std::int64_t length, std::int64_t dim) {
        return bhsd<const float>(w.memory.random_floats(s.batch * heads * length * dim).data(), s.batch, heads, length, dim);
    };
    w.plain = {.shape = s, .options = {.causal = causal}};
    w.plain.arguments.query = random(s.num_heads, s.query_length, s.head_dim);
    w.plain.arguments.key = random(s.num_kv_heads, s.key_length, s.head_dim);
    w.plain.arguments.value = random(s.num_kv_heads, s.key_length, s.value_dim);
    w.plain.arguments.out = bhsd(w.memory.zeros(s.batch * s.num_heads * s.query_length * s.value_dim).data(), s.batch, s.num_heads,
                                 s.query_length, s.value_dim);
    w.variant = w.plain;
    return w;
}

std::function<void()> prepare(const VariantCall& call) {
    if (call.merges())
        return [call] { merge_states(call.states[0], call.states[1], call.arguments.out, call.arguments.log_sum_exp); };
    if (call.weighs()) return [call] { attention_weights(call.arguments, call.options, {}, call.weights); };
    const AttentionPlan plan(call.shape, call.options);
    // Shared, as a function must be one that can be copied.
    const auto workspace = std::make_shared<std::vector<std::byte>>(plan.workspace_bytes());
    return [plan, workspace, arguments = call.arguments] { plan.run(arguments, *workspace); };
}

}  // namespace headwise::tools
