#include "headwise/attention_weights.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>

#include "engine/attention/block.hpp"
#include "engine/attention/call_memory.hpp"
#include "engine/attention/denominator.hpp"
#include "engine/attention/key_sums.hpp"
#include "engine/attention/top_keys.hpp"
#include "engine/attention/weights_request.hpp"
#include "engine/contract/check_shape.hpp"
#include "engine/runtime/parallel.hpp"
#include "engine/runtime/workspace_pool.hpp"

namespace headwise {
namespace {

/// Memory for all workers.
struct SweepMemory {
    std::uint64_t* top_places = nullptr;  ///< [workers][rows of a block][k]
    float* mean_rests = nullptr;          ///< [workers][heads of a group][mean_keys]
    std::int64_t mean_keys = 0;
};

/// The second sweep: what one item, a key/value head of a sequence, does.
class WeightsSweep {
  public:
    WeightsSweep(const AttentionCall& call, const ChosenRows& chosen, const AttentionWeights& results,
                 const AttentionWorkspace& workspace, const SweepMemory& memory)
        : call_(call), chosen_(chosen), results_(results), workspace_(workspace), memory_(memory) {}

    void run(int worker, std::int64_t item) const {
        BlockPlace place = place_of(item);
        const ChosenHead head = chosen_.of(place.kv_head);
        clear(worker, place, head);
        const std::int64_t queries = chosen_.count_below(place.sequence.queries);
        const std::int64_t rows = queries * head.count, most = place.schedule.kernel->max_rows;
        for (std::int64_t row = 0; row < rows; row += most) {
            place.rows = std::min(most, rows - row);
            sweep(worker, place, head, row);
        }
        if (results_.key_means.data && queries > 0) divide_means(place, head, static_cast<float>(queries));
    }

    /// The description of an item in a record.
    runtime::TaskLabel label(std::int64_t item) const {
        const BlockPlace place = place_of(item);
        const PositionRules rules = position_rules(call_.options, call_.arguments, place.sequence, place.b);
        const std::int64_t group = call_.group;
        const std::int64_t queries = chosen_.count_below(place.sequence.queries);
        const auto heads = static_cast<double>(chosen_.of(place.kv_head).count), dim = static_cast<double>(call_.shape.head_dim);
        double pairs = 0, keys = 0;
        for (std::int64_t i = 0; i < queries; ++i) {
            const KeyLimits seen = rules.of(chosen_.query(i));
            pairs += static_cast<double>(seen.end - seen.begin);
        }
        if (queries > 0)
            keys = static_cast<double>(
                std::max<std::int64_t>(rules.of(chosen_.query(queries - 1)).end - rules.of(chosen_.query(0)).begin, 0));
        return {.batch = place.b,
                .head = place.kv_head * group,
                .heads = group,
                .kernel = "weigh",
                .flops = (call_.arguments.log_sum_exp.data ? 2 : 4) * dim * heads * pairs,
                .bytes = sizeof(float) * dim * (heads * static_cast<double>(queries) + keys)};
    }

  private:
    /// The key/value head of an item, without rows yet.
    BlockPlace place_of(std::int64_t item) const {
        BlockPlace place{.b = item / call_.shape.num_kv_heads,
                         .sequence = {},
                         .schedule = {},
                         .kv_head = item % call_.shape.num_kv_heads,
                         .row = 0,
                         .rows = 0};
        place.sequence = sequence_at(call_.arguments, place.b);
        place.schedule.kernel = &call_.kernels.attention.query_lanes;
        place.schedule.key_end = place.sequence.keys;
        return place;
    }

    template <class T, std::size_t Rank>
    static T* row_at(const TensorView<T, Rank>& view, std::int64_t b, std::int64_t h, std::int64_t q = 0) {
        return view.data + b * view.stride[0] + h * view.stride[1] + (Rank == 4 ? q * view.stride[2] : 0);
    }

    void clear(int worker, const BlockPlace& place, const ChosenHead& head) const {
        if (results_.key_means.data) std::fill_n(mean_rests(worker, 0), head.count * memory_.mean_keys, 0.0f);
        for (std::int64_t h = head.first; h < head.first + head.count; ++h) {
            if (results_.key_means.data) std::fill_n(row_at(results_.key_means, place.b, h), results_.key_means.extent[2], 0.0f);
            const auto clear_rows = [&](const auto& view, auto value) {
                if (view.data)
                    for (std::int64_t q = 0; q < view.extent[2]; ++q)
                        std::fill_n(row_at(view, place.b, h, q), view.extent[3], value);
            };
            clear_rows(results_.weights, 0.0f);
            clear_rows(results_.top_weights, 0.0f);
            clear_rows(results_.top_keys, -1);
        }
    }

    /// The chosen rows [row, row + place.rows) of the head: row r is chosen query r / head.count, chosen head r % head.count.
    void sweep(int worker, const BlockPlace& place, const ChosenHead& head, std::int64_t row) const {
        std::int64_t* queries = workspace_.integers(worker, RowIntegers::query);
        std::int64_t* heads = workspace_.integers(worker, RowIntegers::head);
        for (std::int64_t i = 0; i < place.rows; ++i) {
            queries[i] = chosen_.query((row + i) / head.count);
            heads[i] = chosen_.head(head.first + (row + i) % head.count);
        }
        const BlockRows rows{queries, heads};
        const PreparedBlock prepared(call_, workspace_, worker, {&place, 1}, workspace_.state(worker, 0), &rows);
        const AttentionBlock& block = prepared.block;
        const WeightReferences references =
            call_.arguments.log_sum_exp.data ? given_references(worker, place, rows) : found_references(worker, prepared);
        const std::int64_t begin = block.key_begin ? block.key_begin[0] : 0;
        const std::int64_t end = block.key_end ? block.key_end[block.rows - 1] : place.sequence.keys;
        float* weights = workspace_.state(worker, 0).row_max;
        const bool copies = results_.weights.data || results_.key_means.data, tops = results_.top_weights.data != nullptr;
        const auto weigh = [&](std::int64_t key, std::int64_t next_key) {
            const std::int64_t keys = std::min(kWeighedKeys, end - key);
            call_.kernels.attention.weigh(block, prepared.keys, key, keys, next_key, references, weights);
            for (std::int64_t i = 0; copies && i < place.rows; ++i)
                copy(worker, place.b, head.first, row + i, head.count, key,
                     {weights + i * kWeighedKeys, static_cast<std::size_t>(keys)});
            for (std::int64_t i = 0; tops && i < place.rows; ++i) take_top(top_of(worker, i), key, weights + i * kWeighedKeys);
        };
        for (std::int64_t i = 0; tops && i < place.rows; ++i) top_of(worker, i).clear();
        const std::int64_t parts = (end - begin + kWeighedKeys - 1) / kWeighedKeys;
        const TopOrder order(std::max(parts, std::int64_t{1}));
        for (std::int64_t n = 0, part = tops ? order.first() : 0; n < parts; ++n) {
            const std::int64_t next = n + 1 == parts ? 0 : (tops ? order.after(part) : part + 1);
            weigh(begin + part * kWeighedKeys, begin + next * kWeighedKeys);
            part = next;
        }
        for (std::int64_t i = 0; tops && i < place.rows; ++i)
            write_top(top_of(worker, i), place.b, head.first + (row + i) % head.count, (row + i) / head.count);
    }

    /// References from the log-sum-exp that the caller passed.
    WeightReferences given_references(int worker, const BlockPlace& place, const BlockRows& rows) const {
        float* references = workspace_.floats(worker, RowFloats::reference);
        float* factors = workspace_.floats(worker, RowFloats::factor);
        const TensorView<float, 3>& sums = call_.arguments.log_sum_exp;
        for (std::int64_t i = 0; i < place.rows; ++i) {
            const float sum = sums.data[place.sequence.query_batch * sums.stride[0] + rows.heads[i] * sums.stride[1] +
                                        (place.sequence.first_query + rows.queries[i]) * sums.stride[2]];
            // In units of log2 it must stay in the range of float. A row that sees nothing has a log-sum-exp of -Inf and only
            // scores of -Inf: any finite reference gives weights of 0.
            constexpr double kMost = std::numeric_limits<float>::max();
            const double log2 = static_cast<double>(sum) * std::numbers::log2e;
            references[i] =
                static_cast<float>(sum < std::numeric_limits<float>::infinity() ? std::clamp(log2, -kMost, kMost) : log2);
            factors[i] = 1;
        }
        return {references, factors, exponents_of(worker, factors, place.rows)};
    }

    /// References from a sweep of their own, like attention's but without values. Maximum and sum stay separate: if logits are
    /// large, their logarithm in f32 would have lost the sum.
    WeightReferences found_references(int worker, const PreparedBlock& prepared) const {
        const AttentionKernel& kernel = call_.kernels.attention.query_lanes;
        AttentionBlock block = with_state(prepared.block, workspace_.state(worker, 1));
        block.value_dim = 0;
        block.fetch_count = 0;
        const std::int64_t count = prepared.keys.count;
        // With parts of one key block, parts begin at the same keys whatever rows are chosen. So a row's bits do not depend on the
        // choice.
        KeySums(workspace_, worker, kernel, prepared.keys, kernel.key_block).attend(block, {0, count, 0});
        float* factors = workspace_.floats(worker, RowFloats::factor);
        for (std::int64_t i = 0; i < block.rows; ++i) {
            factors[i] = sees_any(kernel, block, i, 0, count) ? denominator(block.row_max[i], block.row_sum[i],
                                                                            sink_of(call_.arguments, prepared.rows.heads[i]), false)
                                                                    .factor
                                                              : 0;
        }
        return {block.row_max, factors, exponents_of(worker, factors, block.rows)};
    }

    const float* exponents_of(int worker, float* factors, std::int64_t rows) const {
        float* exponents = workspace_.floats(worker, RowFloats::exponent);
        for (std::int64_t i = 0; i < rows; ++i) {
            int exponent = 0;
            std::frexp(factors[i], &exponent);
            exponents[i] = static_cast<float>(exponent);
        }
        return exponents;
    }

    TopKeys top_of(int worker, std::int64_t row) const {
        const std::int64_t k = results_.top_weights.extent[3];
        return {memory_.top_places + (worker * call_.kernels.attention.query_lanes.max_rows + row) * k, k};
    }

    /// The compensation of a chosen head's means (add_compensated).
    float* mean_rests(int worker, std::int64_t head) const {
        return memory_.mean_rests + (worker * call_.group + head) * memory_.mean_keys;
    }

    /// Copies the weights of one row from `key` on.
    void copy(int worker, std::int64_t b, std::int64_t first_head, std::int64_t row, std::int64_t heads, std::int64_t key,
              std::span<const float> weights) const {
        const std::int64_t h = row % heads, q = row / heads;
        if (results_.weights.data) std::ranges::copy(weights, row_at(results_.weights, b, first_head + h, q) + key);
        if (results_.key_means.data)
            add_compensated(weights, row_at(results_.key_means, b, first_head + h) + key, mean_rests(worker, h) + key);
    }

    /// sums[i] += x[i], with the rounding error carried to the next addition (Kahan). Without it, a million small weights would
    /// lose five digits.
    static void add_compensated(std::span<const float> x, float* sums, float* rests) {
        for (std::size_t i = 0; i < x.size(); ++i) {
            const float more = x[i] - rests[i], sum = sums[i] + more;
            rests[i] = (sum - sums[i]) - more;
            sums[i] = sum;
        }
    }

    void take_top(TopKeys top, std::int64_t key, const float* weights) const {
        std::uint64_t largest = call_.kernels.attention.largest(weights, top.bound_from(key), top.k());
        std::array<std::uint64_t, kWeighedKeys> places;
        std::size_t count = 0;
        for (; largest != 0; largest &= largest - 1) {
            const int i = std::countr_zero(largest);
            places[count++] = TopKeys::place_of(weights[i], static_cast<std::int32_t>(key + i));
        }
        if (count > 0) top.insert({places.data(), count});
    }

    void write_top(const TopKeys& top, std::int64_t b, std::int64_t h, std::int64_t q) const {
        float* weights = row_at(results_.top_weights, b, h, q);
        std::int32_t* keys = row_at(results_.top_keys, b, h, q);
        for (std::int64_t i = 0; i < top.k(); ++i) {
            weights[i] = top.weight(i);
            keys[i] = top.key(i);
        }
    }

    void divide_means(const BlockPlace& place, const ChosenHead& head, float queries) const {
        for (std::int64_t h = head.first; h < head.first + head.count; ++h) {
            float* means = row_at(results_.key_means, place.b, h);
            for (std::int64_t j = 0; j < place.sequence.keys; ++j) means[j] /= queries;
        }
    }

    const AttentionCall& call_;
    const ChosenRows& chosen_;
    const AttentionWeights& results_;
    const AttentionWorkspace& workspace_;
    const SweepMemory memory_;
};

/// The memory of a state, which a sweep does not need, holds the weights of a key block.
AttentionSizes sweep_sizes(const AttentionShape& shape, const AttentionKernel& kernel) {
    const StateSize state{kernel.max_rows, kernel.max_rows * std::max<std::int64_t>(kWeighedKeys, 2)};
    return {.query_floats = kernel.max_rows * shape.head_dim,
            .score_floats = kernel.max_rows * kernel.key_block,
            .state = state,
            .own_state = state,
            .own = {},
            .shared = {},
            .shared_rows = 0};
}

/// What a call takes from the pool.
struct SweepScratch {
    SweepScratch(const AttentionShape& shape, const AttentionOptions& options, const AttentionKernel& kernel, int most_workers,
                 std::int64_t top_keys, std::int64_t mean_keys)
        : workers(static_cast<int>(
              std::clamp<std::int64_t>(shape.batch * shape.num_kv_heads, 1,
                                       options.max_threads > 0 ? std::min(options.max_threads, most_workers) : most_workers))),
          layout(shape, sweep_sizes(shape, kernel), options.rope != nullptr, workers, {}),
          top_bytes(sizeof(std::uint64_t) * static_cast<std::size_t>(workers * kernel.max_rows * top_keys)),
          mean_bytes(sizeof(float) * static_cast<std::size_t>(workers * (shape.num_heads / shape.num_kv_heads) * mean_keys)) {}

    int workers;
    AttentionWorkspace layout;
    std::size_t top_bytes, mean_bytes;  ///< of SweepMemory
};

}  // namespace

std::size_t weights_scratch_bytes(const AttentionShape& shape, const AttentionOptions& options, int workers, std::int64_t top_keys,
                                  std::int64_t mean_keys) {
    const SweepScratch scratch(shape, options, kernel_table(isa_of(options)).attention.query_lanes, workers, top_keys, mean_keys);
    return scratch.layout.bytes() + scratch.top_bytes + scratch.mean_bytes;
}

void attention_weights(const AttentionArguments& arguments, const AttentionOptions& options, const AttentionWeightsRequest& request,
                       const AttentionWeights& results) {
    CallTensors tensors = tensors_of(arguments);
    tensors.value = tensors.out = {};  // not used
    const AttentionShape shape = shape_of(tensors, arguments);
    check_shape(shape, options, ShapeNames::of_views());
    check_execution(options);
    const ChosenRows chosen(shape, request);
    check_weights(shape, options, tensors, arguments, chosen, results);

    const KernelTable& kernels = kernel_table(isa_of(options));
    AttentionArguments usable = with_usable_strides(arguments);
    usable.value = usable.key;
    const AttentionCall call(shape, options, usable, kernels);
    const std::int64_t mean_keys = results.key_means.data ? results.key_means.extent[2] : 0;
    SweepScratch scratch(shape, options, kernels.attention.query_lanes, runtime::available_workers(),
                         results.top_weights.data ? results.top_weights.extent[3] : 0, mean_keys);
    const runtime::PooledWorkspace workspace(scratch.layout.bytes()), top_memory(scratch.top_bytes),
        mean_memory(scratch.mean_bytes);
    scratch.layout.bind(workspace.bytes());
    const WeightsSweep sweep(call, chosen, results, scratch.layout,
                             {.top_places = reinterpret_cast<std::uint64_t*>(top_memory.bytes().data()),
                              .mean_rests = reinterpret_cast<float*>(mean_memory.bytes().data()),
                              .mean_keys = mean_keys});
    runtime::for_each_item(
        scratch.workers, shape.batch * shape.num_kv_heads, [&](int worker, std::int64_t item) { sweep.run(worker, item); },
        "attention weights", [&](std::int64_t item) { return sweep.label(item); });
}

}  // namespace headwise
