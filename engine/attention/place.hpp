#pragma once

#include <cstdint>

#include "engine/attention/schedule.hpp"
#include "engine/contract/sequences.hpp"

namespace headwise {

/// How one sequence of a call is computed. Made once per run: for short sequences it would take a tenth of each block's time.
struct SequencePlan {
    std::int64_t b;
    Sequence sequence;
    SequenceSchedule schedule;
    std::int64_t first_item;  ///< the number of its first item; a sequence's items are consecutive
};

/// Some rows: [row, row + rows) of a key/value head of a sequence. Row r is query r / group and query head r % group of that head's
/// group, so that rows in one vector have nearly the same position. A block of one sequence is one place. A block of a common
/// prefix has several places, one after another.
struct BlockPlace {
    std::int64_t b;
    Sequence sequence;
    SequenceSchedule schedule;
    std::int64_t kv_head, row, rows;
};

/// Calls function(query, head) for each row in order.
template <class Function>
void for_rows(const BlockPlace& place, std::int64_t group, Function function) {
    const std::int64_t first_head = place.kv_head * group;
    if (group == 1) {  // no division, and the loop vectorizes: a block of a short sequence takes only as long as ten such loops
        for (std::int64_t query = place.row; query < place.row + place.rows; ++query) function(query, first_head);
        return;
    }
    std::int64_t query = place.row / group, head = place.row % group;
    for (std::int64_t left = place.rows; left > 0; ++query, head = 0)
        for (; head < group && left > 0; ++head, --left) function(query, first_head + head);
}

}  // namespace headwise
