#include "engine/attention/task_work.hpp"

#include <algorithm>

namespace headwise {
namespace {

/// Pairs of the rows before `row`, with `group` rows per query.
double pairs_before(const PositionRules& rules, std::int64_t row, std::int64_t group) {
    const KeyLimits limits = rules.of(row / group);
    return static_cast<double>(group) * rules.pairs(row / group) +
           static_cast<double>(row % group) * static_cast<double>(limits.end - limits.begin);
}

/// Pairs of the rows [row, end) with the keys.
double pairs_of_chunk(const PositionRules& rules, std::int64_t row, std::int64_t end, std::int64_t group, KeyLimits keys) {
    double pairs = 0;
    while (row < end) {
        const KeyLimits limits = rules.of(row / group);
        const std::int64_t next = std::min((row / group + 1) * group, end);
        const std::int64_t seen = std::min(limits.end, keys.end) - std::max(limits.begin, keys.begin);
        pairs += static_cast<double>(next - row) * static_cast<double>(std::max<std::int64_t>(seen, 0));
        row = next;
    }
    return pairs;
}

KeyLimits keys_of(const SequenceSchedule& s, bool split, std::int64_t chunk) {
    return split ? KeyLimits{s.chunk_begin(chunk), s.chunk_end(chunk)} : KeyLimits{s.key_begin, s.key_end};
}

/// `keys` counts from the first to the last key that any of the rows sees.
runtime::TaskLabel label_of(const AttentionCall& call, const BlockPlace& place, std::int64_t chunk, double pairs,
                            std::int64_t keys) {
    const std::int64_t group = call.group;
    const auto dims = static_cast<double>(call.shape.head_dim + call.shape.value_dim);
    return {.batch = place.b,
            .head = place.kv_head * group,
            .heads = group,
            .row_block = place.row / place.schedule.block_rows,
            .column_block = chunk,
            .kernel = place.schedule.kernel->name,
            .flops = 2 * dims * pairs,
            .bytes = sizeof(float) * dims * static_cast<double>(place.rows + keys)};
}

}  // namespace

double visible_pairs(const AttentionCall& call, const BlockPlace& place, KeyLimits keys) {
    const std::int64_t group = call.group, end = place.row + place.rows;
    const PositionRules rules = position_rules(call.options, call.arguments, place.sequence, place.b);
    const SequenceSchedule& s = place.schedule;
    if (keys.begin != s.key_begin || keys.end != s.key_end) return pairs_of_chunk(rules, place.row, end, group, keys);
    // Every row sees all the keys before key_begin.
    return pairs_before(rules, end, group) - pairs_before(rules, place.row, group) -
           static_cast<double>(place.rows) * static_cast<double>(s.key_begin);
}

runtime::TaskLabel task_label(const AttentionCall& call, const BlockPlace& place, bool split, std::int64_t chunk) {
    const std::int64_t group = call.group;
    const PositionRules rules = position_rules(call.options, call.arguments, place.sequence, place.b);
    const KeyLimits keys = keys_of(place.schedule, split, chunk);
    const std::int64_t begin = std::max(keys.begin, rules.of(place.row / group).begin);
    const std::int64_t end = std::min(keys.end, rules.of((place.row + place.rows - 1) / group).end);
    return label_of(call, place, chunk, visible_pairs(call, place, keys), std::max<std::int64_t>(end - begin, 0));
}

runtime::TaskLabel shared_task_label(const AttentionCall& call, const BlockPlace& place, bool split, std::int64_t chunk) {
    const KeyLimits keys = keys_of(place.schedule, split, chunk);
    const std::int64_t count = keys.end - keys.begin;
    return label_of(call, place, chunk, static_cast<double>(place.rows) * static_cast<double>(count), count);
}

}  // namespace headwise
