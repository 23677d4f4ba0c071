// Calls that are told their ISA do not ask HEADWISE_ISA, which names none here. Prints what each call throws.
#include <cstdio>
#include <string>
#include <vector>

#include "headwise/headwise.hpp"

namespace {

template <class Function>
std::string thrown(Function function) {
    try {
        function();
        return "nothing";
    } catch (const headwise::Error& error) {
        return error.what();
    }
}

}  // namespace

int main() {
    using headwise::bhsd;
    const std::vector<float> ones(16, 1.0f);
    std::vector<float> out(16);
    const headwise::TensorView<const float, 2> matrix(ones.data(), {4, 4});
    const headwise::AttentionArguments arguments{.query = bhsd(ones.data(), 1, 1, 4, 4),
                                                 .key = bhsd(ones.data(), 1, 1, 4, 4),
                                                 .value = bhsd(ones.data(), 1, 1, 4, 4),
                                                 .out = bhsd(out.data(), 1, 1, 4, 4)};
    const auto calls = [&](const headwise::AttentionOptions& options) {
        std::printf("attention: %s\n", thrown([&] { headwise::attention(arguments, options); }).c_str());
        const headwise::AttentionWeights weights{.weights = bhsd(out.data(), 1, 1, 4, 4)};
        std::printf("weights: %s\n", thrown([&] { headwise::attention_weights(arguments, options, {}, weights); }).c_str());
        std::printf("packed product: %s\n", thrown([&] {
                                                headwise::matmul(matrix, headwise::PackedMatrix(matrix, options.isa),
                                                                 headwise::TensorView<float, 2>(out.data(), {4, 4}));
                                            }).c_str());
        std::printf("layer: %s\n", thrown([&] {
                                       const headwise::MultiHeadAttention layer(
                                           {.num_heads = 1, .head_dim = 4},
                                           {.query = matrix, .key = matrix, .value = matrix, .output = matrix}, options);
                                       layer.forward({ones.data(), {1, 4, 4}}, {out.data(), {1, 4, 4}});
                                   }).c_str());
    };
    calls({.isa = headwise::Isa::scalar});
    std::printf("without: %s\n", thrown([&] { headwise::attention(arguments); }).c_str());
}
