#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "headwise/attention.hpp"
#include "tests/support/accuracy.hpp"
#include "tests/support/strided_tensor.hpp"

namespace headwise::test {

/// Everything that decides one call of attention: sizes, options, memory layouts and, by the seed, the values.
struct AttentionCase {
    AttentionShape shape;
    AttentionOptions options{};
    Layout query{}, key{}, value{}, out{};
    Guard guard = Guard::above;
    float logit_deviation = 1;  ///< of the logits at the default scale
    std::uint64_t seed = test_seed();

    std::int64_t value_dim() const { return shape.value_dim == 0 ? shape.head_dim : shape.value_dim; }
    std::string text() const;
};

/// What one call reads and writes.
struct AttentionViews {
    TensorView<const float, 4> query, key, value;
    TensorView<float, 4> out;
};

/// The tensors of a case: inputs filled, out untouched.
struct AttentionTensors {
    explicit AttentionTensors(const AttentionCase& c);
    AttentionViews views() const { return {query.view(), key.view(), value.view(), out.view()}; }

    StridedTensor query, key, value, out;
};

/// Plans and runs the engine, with a workspace that starts at an odd address and ends at an inaccessible page.
void run_engine(const AttentionViews& views, const AttentionOptions& options);

/// What the engine left in out and what the naive float loops give, against the reference in double precision.
struct AttentionAccuracy {
    Accuracy engine, naive;
};
AttentionAccuracy measure_accuracy(const AttentionViews& views, const AttentionOptions& options);

/// Runs the engine: NaN, Inf and finite values must be where the formula has them, the error below the bound of
/// attention_error_bound.hpp and at most twice that of the naive loops.
void check_attention(const AttentionViews& views, const AttentionOptions& options);

/// The same on the values that the seed gives, after `prepare` has changed what it wants in the inputs; nothing may be written
/// beyond the rows of out.
void check_attention(const AttentionCase& c, const std::function<void(const AttentionTensors&)>& prepare = {});

/// The bits of a tensor, in the order of its elements.
std::vector<std::uint32_t> bits_of(const TensorView<const float, 4>& tensor);

}  // namespace headwise::test
