#include "engine/attention/finish.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/attention/denominator.hpp"

namespace headwise {

void BlockFinish::finish(int worker, std::span<const BlockPlace> places, const PreparedBlock& prepared,
                         const AttentionBlock& block) const {
    if (numbers_.part() == Part::shared)
        keep(worker, places, block);
    else if (places[0].schedule.key_begin > 0)
        finish_kept(worker, places[0], prepared, block);
    else
        finish_own(worker, places[0], prepared, block);
}

/// Writes each row's weighted mean of the shared values to `out`, where the row's own part finds it.
void BlockFinish::keep(int worker, std::span<const BlockPlace> places, const AttentionBlock& block) const {
    const SequenceSchedule& shared = numbers_.shared_schedule();
    float* factors = workspace_.floats(worker, RowFloats::factor);
    std::int64_t i = 0;
    for (const BlockPlace& place : places) {
        SharedRow* kept = workspace_.shared_rows(place.b, place.kv_head) + place.row;
        for (const std::int64_t end = i + place.rows; i < end; ++i) {
            *kept++ = {block.row_max[i], block.row_sum[i]};
            // Without weights the row is 0, or NaN if an allowed value is: that value is multiplied by 0.
            factors[i] = block.row_sum[i] != 0 ? 1 / block.row_sum[i]
                                               : (sees_any(*shared.kernel, block, i, 0, shared.key_end) ? 1 : kSeesNothing);
        }
    }
    shared.kernel->finish(block, workspace_.outs(worker), factors);
}

/// Divides by the sum of weights, including a sink, and writes the rows.
void BlockFinish::finish_own(int worker, const BlockPlace& place, const PreparedBlock& prepared,
                             const AttentionBlock& block) const {
    const SequenceSchedule& s = place.schedule;
    float* factors = workspace_.floats(worker, RowFloats::factor);
    const bool plain = arguments_.sinks.empty() && !arguments_.log_sum_exp.data;
    for (std::int64_t i = 0; i < place.rows; ++i) {
        if (plain && block.row_sum[i] > 0) {
            factors[i] = 1 / block.row_sum[i];
            continue;
        }
        const std::int64_t head = prepared.rows.heads[i];
        Denominator d{.factor = kSeesNothing, .log2 = -std::numeric_limits<double>::infinity()};
        if (sees_any(*s.kernel, block, i, s.key_begin, s.key_end))
            d = denominator(block.row_max[i], block.row_sum[i], sink_of(arguments_, head), arguments_.log_sum_exp.data != nullptr);
        else if (const auto sink = sink_of(arguments_, head))
            d.log2 = *sink;
        factors[i] = d.factor;
        write_log_sum_exp(place, prepared, i, d.log2);
    }
    s.kernel->finish(block, workspace_.outs(worker), factors);
}

/// The same for rows that keep() has seen: adds the result of the common prefix in `out`.
void BlockFinish::finish_kept(int worker, const BlockPlace& place, const PreparedBlock& prepared,
                              const AttentionBlock& block) const {
    const SharedRow* kept = workspace_.shared_rows(place.b, place.kv_head) + place.row;
    float* factors = workspace_.floats(worker, RowFloats::factor);
    float* weights = workspace_.floats(worker, RowFloats::shared_weight);
    // The pointers to the queries and the second state are no longer in use.
    float** own = workspace_.rows<float>(worker, RowPointers::queries);
    float* memory = workspace_.state(worker, 1).accumulators;
    for (std::int64_t i = 0; i < place.rows; ++i) {
        const CommonDenominator d = common_denominator(block, place, i, prepared.rows.heads[i], kept[i]);
        factors[i] = d.factor;
        weights[i] = d.weight;
        own[i] = memory + i * block.value_dim;
        write_log_sum_exp(place, prepared, i, d.log2);
    }
    place.schedule.kernel->finish(block, own, factors);
    float* const* rows = workspace_.outs(worker);
    for (std::int64_t i = 0; i < place.rows; ++i)
        call_.kernels.merge.blend(1, own[i], weights[i], rows[i], rows[i], block.value_dim);
}

void BlockFinish::write_log_sum_exp(const BlockPlace& place, const PreparedBlock& prepared, std::int64_t row, double log2) const {
    if (!arguments_.log_sum_exp.data) return;
    const auto& [data, extent, stride] = arguments_.log_sum_exp;
    const Sequence& sequence = place.sequence;
    data[sequence.query_batch * stride[0] + prepared.rows.heads[row] * stride[1] +
         (sequence.first_query + prepared.rows.queries[row]) * stride[2]] = static_cast<float>(log2 * std::numbers::ln2);
}

/// The denominator over a row's own and shared keys. The row may see none of either.
BlockFinish::CommonDenominator BlockFinish::common_denominator(const AttentionBlock& block, const BlockPlace& place,
                                                               std::int64_t row, std::int64_t head, const SharedRow& shared) const {
    const SequenceSchedule& s = place.schedule;
    const double sink = sink_of(arguments_, head).value_or(-std::numeric_limits<double>::infinity());
    const bool sees_own = sees_any(*s.kernel, block, row, s.key_begin, s.key_end);
    if (!sees_own && shared.sum == 0 && !sees_by_masks(*s.kernel, block, row, 0, s.key_begin)) return {kSeesNothing, 0, sink};
    // All logits are -Inf: the maxima mean nothing.
    if (block.row_sum[row] == 0 && shared.sum == 0 && std::isfinite(sink)) return {sees_own ? 0 : kSeesNothing, 0, sink};
    const double max = block.row_max[row], shared_max = shared.max, reference = std::max(std::max(max, shared_max), sink);
    const double own = std::exp2(max - reference), others = shared.sum * std::exp2(shared_max - reference);
    const double total = block.row_sum[row] * own + others + std::exp2(sink - reference);
    return {sees_own ? factor_of(own / total, block.row_sum[row]) : kSeesNothing, factor_of(others / total, 1),
            reference + std::log2(total)};
}

}  // namespace headwise
