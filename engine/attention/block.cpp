#include "engine/attention/block.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace headwise {
namespace {

constexpr double kLog2E = std::numbers::log2e;

}  // namespace

KeyValueRows key_value_rows(const AttentionArguments& a, const BlockPlace& place) {
    const TensorView<const float, 4>&key = a.key, &value = a.value;
    KeyValueRows rows{.keys = key.data + place.kv_head * key.stride[1],
                      .key_stride = key.stride[2],
                      .values = value.data + place.kv_head * value.stride[1],
                      .value_stride = value.stride[2],
                      .count = place.sequence.keys};
    if (a.page_table.data) {
        rows.pages = a.page_table.data + place.b * a.page_table.stride[0];
        rows.page_size = key.extent[2];
        rows.key_page_stride = key.stride[0];
        rows.value_page_stride = value.stride[0];
    } else {
        rows.keys += place.sequence.key_batch * key.stride[0] + place.sequence.first_key * key.stride[2];
        rows.values += place.sequence.key_batch * value.stride[0] + place.sequence.first_key * value.stride[2];
    }
    return rows;
}

BlockRows rows_of(std::span<const BlockPlace> places, std::int64_t group, const AttentionWorkspace& workspace, int worker) {
    std::int64_t* queries = workspace.integers(worker, RowIntegers::query);
    std::int64_t* heads = workspace.integers(worker, RowIntegers::head);
    const BlockRows rows{queries, heads};
    for (const BlockPlace& place : places)
        for_rows(place, group, [&](std::int64_t query, std::int64_t head) {
            *queries++ = query;
            *heads++ = head;
        });
    return rows;
}

PreparedBlock::PreparedBlock(const AttentionCall& call, const AttentionWorkspace& workspace, int worker,
                             std::span<const BlockPlace> places, const BlockState& state, const BlockRows* chosen)
    : rows(chosen ? *chosen : rows_of(places, call.group, workspace, worker)),
      call_(call),
      workspace_(workspace),
      worker_(worker),
      places_(places),
      chosen_(chosen) {
    for (const BlockPlace& place : places) block.rows += place.rows;
    block.head_dim = call.shape.head_dim;
    block.value_dim = call.shape.value_dim;
    block.queries = workspace.queries(worker);
    block.scores = workspace.scores(worker);
    block = with_state(block, state);
    set_limits();
    set_rules();
    set_keys();
    pack_queries();
}

void PreparedBlock::set_limits() {
    const SequenceSchedule& schedule = first().schedule;
    const PositionRules positions = rules_of(first());
    // Rows of several sequences see all keys of the schedule: they need no limits.
    if (places_.size() > 1 || !positions.limits()) return;
    std::int64_t* begin = workspace_.integers(worker_, RowIntegers::key_begin);
    std::int64_t* end = workspace_.integers(worker_, RowIntegers::key_end);
    KeyLimits limits{};
    for (std::int64_t i = 0, known = -1; i < block.rows; ++i) {
        if (rows.queries[i] != known) limits = positions.of(known = rows.queries[i]);
        begin[i] = std::clamp(limits.begin, schedule.key_begin, schedule.key_end);
        end[i] = std::clamp(limits.end, schedule.key_begin, schedule.key_end);
    }
    block.key_begin = begin;
    block.key_end = end;
}

void PreparedBlock::set_rules() {
    const AttentionArguments& a = call_.arguments;
    const float softcap = call_.options.softcap;
    if (softcap != 0) rules_.softcap = a.score_function.apply ? softcap : static_cast<float>(softcap * kLog2E);
    if (a.score_function.apply) set_function();
    if (!a.alibi_slopes.empty()) {
        float* slopes = workspace_.floats(worker_, RowFloats::slope);
        std::int64_t* positions = workspace_.integers(worker_, RowIntegers::position);
        for_places([&](const BlockPlace& place, std::int64_t begin, std::int64_t end) {
            const std::int64_t offset = rules_of(place).offset();
            for (std::int64_t i = begin; i < end; ++i) {
                const float slope = a.alibi_slopes[static_cast<std::size_t>(rows.heads[i])];
                slopes[i] = static_cast<float>(static_cast<double>(slope) * kLog2E);
                positions[i] = rows.queries[i] + offset;
            }
        });
        rules_.alibi_slopes = slopes;
        rules_.positions = positions;
    }
    if (a.bias.data) rules_.bias = row_starts(a.bias, RowPointers::bias);
    set_masks();
    if (rules_.softcap != 0 || rules_.function || rules_.alibi_slopes || rules_.bias || rules_.masks()) block.rules = &rules_;
    if (block.rules) clear_scores();
}

/// Rules work on whole vectors of scores, including keys and rows that do not exist. Old contents of the workspace there must not
/// raise floating-point exceptions.
void PreparedBlock::clear_scores() {
    const SequenceSchedule& schedule = first().schedule;
    const AttentionKernel& kernel = *schedule.kernel;
    const std::int64_t padded_rows = (block.rows + kernel.row_unit - 1) / kernel.row_unit * kernel.row_unit;
    std::int64_t kept_keys = kernel.key_block;
    constexpr std::int64_t kMostLanes = 16;
    if (&kernel == &call_.kernels.attention.query_lanes)  // scores are stored key by key: only whole vectors of keys are used
        kept_keys = std::min(kept_keys, schedule.key_end - schedule.key_begin + 2 * kMostLanes);
    std::fill_n(block.scores, padded_rows * kept_keys, 0.0f);
}

void PreparedBlock::set_masks() {
    const AttentionArguments& a = call_.arguments;
    if (a.mask.data) rules_.mask = row_starts(a.mask, RowPointers::mask);
    if (a.mask_bits.data) rules_.mask_bits = row_starts(a.mask_bits, RowPointers::mask_bits);
    if (a.block_mask.visible.data) {
        rules_.blocks = row_starts(a.block_mask.visible, RowPointers::blocks, a.block_mask.query_block);
        rules_.key_block = a.block_mask.key_block;
    }
    // A common prefix comes before the trees of all sequences that share it.
    if (!a.tree_parents.data) return;
    const std::int64_t tree_begin = first_tree_key(a, first().sequence, positions_of(first()));
    if (first().schedule.key_end <= tree_begin) return;
    rules_.parents = a.tree_parents.data + first().b * a.tree_parents.stride[0];
    rules_.tree_begin = tree_begin;
    rules_.queries = rows.queries;
}

template <class T>
const T* const* PreparedBlock::row_starts(const TensorView<const T, 4>& view, RowPointers which, std::int64_t query_block) {
    const T** starts = workspace_.rows<const T>(worker_, which);
    for_places([&](const BlockPlace& place, std::int64_t begin, std::int64_t end) {
        const T* data = view.data + place.b * view.stride[0];
        for (std::int64_t i = begin; i < end; ++i)
            starts[i] = data + rows.heads[i] * view.stride[1] +
                        (query_block == 1 ? rows.queries[i] : rows.queries[i] / query_block) * view.stride[2];
    });
    return starts;
}

void PreparedBlock::set_function() {
    function_ = {.function = call_.arguments.score_function, .places = places_, .group = call_.group, .chosen = chosen_};
    rules_.function = [](const void* context, float* scores, std::int64_t row_stride, std::int64_t key_stride,
                         std::int64_t first_key, std::int64_t count) {
        const auto& [function, places, group, chosen] = *static_cast<const FunctionContext*>(context);
        for (const BlockPlace& place : places) {
            ScoreTile tile{.scores = scores,
                           .row_stride = row_stride,
                           .key_stride = key_stride,
                           .rows = place.rows,
                           .keys = count,
                           .batch = place.b,
                           .first_head = place.kv_head * group,
                           .group = group,
                           .first_row = place.row,
                           .first_key = first_key};
            scores += place.rows * row_stride;
            if (!chosen) {
                function.apply(function.function, tile);
                continue;
            }
            tile.rows = tile.group = 1;
            for (std::int64_t i = 0; i < place.rows; ++i, tile.scores += row_stride) {
                tile.first_row = chosen->queries[i];
                tile.first_head = chosen->heads[i];
                function.apply(function.function, tile);
            }
        }
    };
    rules_.function_context = &function_;
}

void PreparedBlock::set_keys() {
    keys = key_value_rows(call_.arguments, first());
    const RopeTable* table = call_.options.rope;
    if (!table) return;
    const TensorView<const std::int32_t, 2>& positions = call_.arguments.key_positions;
    rope_ = {.angles = &table->engine_angles(),
             .interleaved = table->options().pairs == RopePairs::interleaved,
             .positions = positions.data
                              ? positions.data + first().sequence.key_batch * positions.stride[0] + first().sequence.first_key
                              : nullptr,
             .first_position = positions_of(first()).first_key,
             .made = workspace_.angles(worker_),
             .turned = workspace_.turned(worker_)};
    keys.rope = &rope_;
}

void PreparedBlock::pack_queries() {
    const TensorView<const float, 4>& query = call_.arguments.query;
    const float** starts = workspace_.rows<const float>(worker_, RowPointers::queries);
    for_places([&](const BlockPlace& place, std::int64_t begin, std::int64_t end) {
        if (!chosen_) {
            list_rows(query, place, call_.group, starts + begin);
            return;
        }
        const float* data =
            query.data + place.sequence.query_batch * query.stride[0] + place.sequence.first_query * query.stride[2];
        for (std::int64_t i = begin; i < end; ++i)
            starts[i] = data + rows.heads[i] * query.stride[1] + rows.queries[i] * query.stride[2];
    });
    if (call_.options.rope) {
        const TensorView<const std::int32_t, 2>& positions = call_.arguments.query_positions;
        float* turned = workspace_.turned(worker_);
        for_places([&](const BlockPlace& place, std::int64_t begin, std::int64_t end) {
            const std::int64_t first_position = positions_of(place).first_query;
            const std::int32_t* given =
                positions.data ? positions.data + place.sequence.query_batch * positions.stride[0] + place.sequence.first_query
                               : nullptr;
            for (std::int64_t i = begin; i < end; ++i, turned += block.head_dim) {
                const std::int64_t position = given ? given[rows.queries[i]] : first_position + rows.queries[i];
                const float* angles = call_.kernels.rope.angles(*rope_.angles, std::abs(position), rope_.made);
                const std::int64_t dims = rope_.angles->dims;
                call_.kernels.rope.rotate(starts[i], turned, block.head_dim, angles, angles + dims / 2, dims, rope_.interleaved,
                                          position < 0);
                starts[i] = turned;
            }
        });
    }
    const std::span<const float> given = call_.arguments.scales;
    float* scales = workspace_.floats(worker_, RowFloats::scale);
    if (given.empty())
        std::fill_n(scales, block.rows, call_.common_query_scale);
    else
        for (std::int64_t i = 0; i < block.rows; ++i) scales[i] = call_.query_scale(given[static_cast<std::size_t>(rows.heads[i])]);
    first().schedule.kernel->pack_queries(block, starts, scales);
}

}  // namespace headwise
