#include "headwise/attention_weights.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <string>

#include "engine/attention/block.hpp"
#include "engine/attention/check.hpp"
#include "engine/attention/check_arguments.hpp"
#include "engine/attention/top_keys.hpp"
#include "engine/attention/weights_request.hpp"
#include "engine/dispatch/isa.hpp"
#include "engine/runtime/parallel.hpp"
#include "engine/runtime/workspace_pool.hpp"

namespace headwise {
namespace {

/// The second sweep: what one item, a key/value head of a sequence, does.
class WeightsSweep {
  public:
    WeightsSweep(const AttentionCall& call, const ChosenRows& chosen, const AttentionWeights& results,
                 const AttentionWorkspace& workspace, std::uint64_t* top_places)
        : call_(call), chosen_(chosen), results_(results), workspace_(workspace), top_places_(top_places) {}

    void run(int worker, std::int64_t item) const {
        BlockPlace place = place_of(item);
        const ChosenHead head = chosen_.of(place.kv_head);
        clear(place, head);
        const std::int64_t queries = chosen_.count_below(place.sequence.queries);
        const std::int64_t rows = queries * head.count, most = place.schedule.kernel->max_rows;
        for (std::int64_t row = 0; row < rows; row += most) {
            place.rows = std::min(most, rows - row);
            sweep(worker, place, head, row);
        }
        if (results_.key_means.data && queries > 0) divide_means(place, head, static_cast<float>(queries));
    }

    /// What a record tells of an item.
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
                .flops = 2 * dim * heads * pairs,
                .bytes = sizeof(float) * dim * (heads * static_cast<double>(queries) + keys)};
    }

  private:
    /// The key/value head of an item, none of its rows yet.
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

    void clear(const BlockPlace& place, const ChosenHead& head) const {
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
        float* references = workspace_.floats(worker, RowFloats::factor);
        const TensorView<float, 3>& sums = call_.arguments.log_sum_exp;
        for (std::int64_t i = 0; i < place.rows; ++i) {
            queries[i] = chosen_.query((row + i) / head.count);
            heads[i] = chosen_.head(head.first + (row + i) % head.count);
            const float sum = sums.data[place.sequence.query_batch * sums.stride[0] + heads[i] * sums.stride[1] +
                                        (place.sequence.first_query + queries[i]) * sums.stride[2]];
            // A row that sees nothing has scores of -Inf alone: any finite reference gives weights of 0.
            references[i] = std::isinf(sum) && sum < 0 ? 0 : static_cast<float>(static_cast<double>(sum) * std::numbers::log2e);
        }
        const BlockRows rows{queries, heads};
        const PreparedBlock prepared(call_, workspace_, worker, {&place, 1}, workspace_.state(worker, 0), &rows);
        const AttentionBlock& block = prepared.block;
        const std::int64_t begin = block.key_begin ? block.key_begin[0] : 0;
        const std::int64_t end = block.key_end ? block.key_end[block.rows - 1] : place.sequence.keys;
        float* weights = workspace_.state(worker, 0).row_max;
        const bool copies = results_.weights.data || results_.key_means.data, tops = results_.top_weights.data != nullptr;
        for (std::int64_t i = 0; tops && i < place.rows; ++i) top_of(worker, i).clear();
        for (std::int64_t key = begin; key < end; key += kWeighedKeys) {
            const std::int64_t keys = std::min(kWeighedKeys, end - key);
            call_.kernels.attention.weigh(block, prepared.keys, key, keys, references, weights);
            for (std::int64_t i = 0; copies && i < place.rows; ++i)
                copy(place.b, head.first + (row + i) % head.count, (row + i) / head.count, key, weights + i * kWeighedKeys, keys);
            for (std::int64_t i = 0; tops && i < place.rows; ++i) take_top(top_of(worker, i), key, weights + i * kWeighedKeys);
        }
        for (std::int64_t i = 0; tops && i < place.rows; ++i)
            write_top(top_of(worker, i), place.b, head.first + (row + i) % head.count, (row + i) / head.count);
    }

    TopKeys top_of(int worker, std::int64_t row) const {
        const std::int64_t k = results_.top_weights.extent[3];
        return {top_places_ + (worker * call_.kernels.attention.query_lanes.max_rows + row) * k, k};
    }

    /// Some weights of one row, [key, key + count).
    void copy(std::int64_t b, std::int64_t h, std::int64_t q, std::int64_t key, const float* weights, std::int64_t count) const {
        if (results_.weights.data) std::copy_n(weights, count, row_at(results_.weights, b, h, q) + key);
        if (results_.key_means.data) {
            float* means = row_at(results_.key_means, b, h) + key;
            for (std::int64_t i = 0; i < count; ++i) means[i] += weights[i];
        }
    }

    void take_top(TopKeys top, std::int64_t key, const float* weights) const {
        std::uint64_t largest = call_.kernels.attention.largest(weights, top.least(), top.k());
        for (; largest != 0; largest &= largest - 1) {
            const int i = std::countr_zero(largest);
            top.insert(weights[i], static_cast<std::int32_t>(key + i));
        }
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
    std::uint64_t* const top_places_;  // [workers][rows of a block][k]
};

/// A state's memory, which no sweep needs, holds the weights of a key block.
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

}  // namespace

void attention_weights(const AttentionArguments& arguments, const AttentionOptions& options, const AttentionWeightsRequest& request,
                       const AttentionWeights& results) {
    AttentionShape shape = shape_of(arguments);
    shape.value_dim = shape.head_dim;  // of no value
    check_shape(shape, options, ShapeNames::of_views());
    check_length_arguments(arguments);
    const CheckedKeys checked = check_query_and_key(shape, arguments);
    check_lengths(shape, options, arguments);
    const ChosenRows chosen(shape, request);
    check_weights(shape, options, arguments, checked, chosen, results);

    const KernelTable& kernels = kernel_table(options.isa.value_or(active_isa()));
    AttentionArguments usable = with_usable_strides(arguments);
    usable.value = usable.key;
    const AttentionCall call(shape, options, usable, kernels);
    const int most = runtime::available_workers();
    const std::int64_t items = shape.batch * shape.num_kv_heads;
    const auto workers =
        static_cast<int>(std::clamp<std::int64_t>(items, 1, options.max_threads > 0 ? std::min(options.max_threads, most) : most));
    AttentionWorkspace layout(shape, sweep_sizes(shape, kernels.attention.query_lanes), options.rope != nullptr, workers, {});
    const runtime::PooledWorkspace workspace(layout.bytes());
    layout.bind(workspace.bytes());
    const std::int64_t top_places =
        results.top_weights.data ? workers * kernels.attention.query_lanes.max_rows * results.top_weights.extent[3] : 0;
    const runtime::PooledWorkspace top_memory(static_cast<std::size_t>(top_places) * sizeof(std::uint64_t));
    const WeightsSweep sweep(call, chosen, results, layout, reinterpret_cast<std::uint64_t*>(top_memory.bytes().data()));
    runtime::for_each_item(
        workers, items, [&](int worker, std::int64_t item) { sweep.run(worker, item); }, "attention weights",
        [&](std::int64_t item) { return sweep.label(item); });
}

}  // namespace headwise
