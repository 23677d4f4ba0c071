#include "verify/attention.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "headwise/reference.hpp"
#include "verify/random_attention.hpp"

namespace headwise::tools {
namespace {

/// A tensor with memory of its own, contiguous.
template <class T, std::size_t Rank>
struct OwnTensor {
    explicit OwnTensor(const std::array<std::int64_t, Rank>& extents) : view(nullptr, extents) {
        std::int64_t size = 1;
        for (const std::int64_t extent : extents) size *= extent;
        memory.resize(static_cast<std::size_t>(size), std::numeric_limits<T>::quiet_NaN());
        view.data = memory.data();
    }

    std::vector<T> memory;
    TensorView<T, Rank> view;
};

/// The elements of a tensor of rank 3 or 4 in their order: function(index, address).
template <class T, std::size_t Rank, class Function>
void for_each_element(const TensorView<T, Rank>& x, Function function) {
    std::array<std::int64_t, Rank> index{};
    for (const std::int64_t extent : x.extent)
        if (extent == 0) return;
    while (true) {
        T* at = x.data;
        for (std::size_t i = 0; i < Rank; ++i) at += index[i] * x.stride[i];
        function(index, at);
        std::size_t axis = Rank;
        while (axis > 0 && ++index[axis - 1] == x.extent[axis - 1]) index[--axis] = 0;
        if (axis == 0) return;
    }
}

OwnTensor<double, 4> in_f64(const TensorView<const float, 4>& x) {
    OwnTensor<double, 4> wide(x.extent);
    std::size_t next = 0;
    for_each_element(x, [&](const auto&, const float* at) { wide.memory[next++] = static_cast<double>(*at); });
    return wide;
}

/// NaN, infinities of either sign and finite numbers are of different kinds.
int kind_of(double x) {
    return std::isnan(x) ? 3 : std::isinf(x) ? (x > 0 ? 1 : 2) : 0;
}

template <std::size_t Rank>
ResultErrors errors_of(const TensorView<float, Rank>& engine, const OwnTensor<float, Rank>& naive,
                       const OwnTensor<double, Rank>& exact) {
    ResultErrors errors;
    std::size_t next = 0;
    for_each_element(engine, [&](const auto& index, const float* at) {
        const double e = static_cast<double>(*at), n = static_cast<double>(naive.memory[next]), x = exact.memory[next];
        ++next;
        if (kind_of(e) != kind_of(x)) {
            if (errors.wrong.empty()) errors.wrong = fmt::format("[{}] is {}, expected {}", fmt::join(index, ","), e, x);
            return;
        }
        if (kind_of(x) != 0) return;
        errors.largest = std::max(errors.largest, std::abs(x));
        if (kind_of(n) == 0) errors.naive = std::max(errors.naive, std::abs(n - x));
        if (std::abs(e - x) > errors.engine) {
            errors.engine = std::abs(e - x);
            errors.worst = fmt::format("[{}] is {}, expected {}", fmt::join(index, ","), e, x);
        }
    });
    return errors;
}

template <std::size_t Rank>
std::vector<std::uint32_t> bits_of(const TensorView<float, Rank>& x) {
    std::vector<std::uint32_t> bits;
    if (x.data) for_each_element(x, [&](const auto&, const float* at) { bits.push_back(std::bit_cast<std::uint32_t>(*at)); });
    return bits;
}

}  // namespace

void ResultErrors::add(const ResultErrors& other) {
    if (wrong.empty()) wrong = other.wrong;
    if (other.engine > engine) worst = other.worst;
    engine = std::max(engine, other.engine);
    naive = std::max(naive, other.naive);
    largest = std::max(largest, other.largest);
}

double ResultErrors::allowed() const {
    return 2 * naive + 8 * 0x1p-24 * largest;
}

std::string AttentionVerdict::failure() const {
    std::string message = text;
    const auto add = [&](const ResultErrors& errors, const char* name) {
        if (!errors.wrong.empty()) message += fmt::format("; {}{}", name, errors.wrong);
        if (errors.engine > errors.allowed())
            message += fmt::format("; error of {} {:.2e}, allowed {:.2e} (naive {:.2e}): {}", name, errors.engine, errors.allowed(),
                                   errors.naive, errors.worst);
    };
    add(out, "out");
    add(log_sum_exp, "log_sum_exp");
    if (!same_bits) message += "; other bits with another number of workers";
    return message;
}

AttentionVerdict AttentionVerifier::verify(std::uint64_t seed) {
    AttentionVerdict verdict = verify(seed, 0);
    // A handful of numbers may come out of the naive loops nearly exact by luck.
    constexpr std::uint64_t kDraws = 64;
    for (std::uint64_t draw = 1; draw < kDraws && !verdict.passed() && verdict.out.wrong.empty() && verdict.same_bits; ++draw) {
        const AttentionVerdict another = verify(seed, draw);
        verdict.out.add(another.out);
        verdict.log_sum_exp.add(another.log_sum_exp);
        verdict.same_bits = another.same_bits;
    }
    return verdict;
}

AttentionVerdict AttentionVerifier::verify(std::uint64_t seed, std::uint64_t draw) {
    RandomAttention call(seed, draw);
    const AttentionArguments& a = call.arguments;
    AttentionVerdict verdict;
    verdict.text = call.text();
    std::vector<std::uint32_t> bits;
    for (const int workers : {1, 0}) {
        AttentionOptions options = call.options;
        options.max_threads = workers;
        call.clear_results();
        const AttentionPlan plan(call.shape, options);
        workspace_.resize(std::max(workspace_.size(), plan.workspace_bytes()));
        plan.run(a, workspace_);
        std::vector<std::uint32_t> now = bits_of(a.out), more = bits_of(a.log_sum_exp);
        now.insert(now.end(), more.begin(), more.end());
        if (workers == 0) verdict.same_bits = now == bits;
        bits = std::move(now);
    }

    const OwnTensor<double, 4> query = in_f64(a.query), key = in_f64(a.key), value = in_f64(a.value);
    OwnTensor<double, 4> exact(a.out.extent);
    OwnTensor<float, 4> naive(a.out.extent);
    const std::array<std::int64_t, 3> rows{a.out.extent[0], a.out.extent[1], a.out.extent[2]};
    OwnTensor<double, 3> exact_sums(rows);
    OwnTensor<float, 3> naive_sums(rows);
    reference::attention<double>(query.view, key.view, value.view, exact.view, call.options, a, exact_sums.view);
    reference::attention<float>(a.query, a.key, a.value, naive.view, call.options, a, naive_sums.view);
    verdict.out = errors_of(a.out, naive, exact);
    if (a.log_sum_exp.data) {
        verdict.log_sum_exp = errors_of(a.log_sum_exp, naive_sums, exact_sums);
        // A logarithm near 0 comes of a sum near 1: what counts is how far off the sum is.
        verdict.log_sum_exp.largest = std::max(verdict.log_sum_exp.largest, 1.0);
    }
    return verdict;
}

}  // namespace headwise::tools
