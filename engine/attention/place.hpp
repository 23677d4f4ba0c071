#pragma once

#include <cstdint>

#include "engine/attention/schedule.hpp"
#include "engine/contract/sequences.hpp"

namespace headwise {

/// How one sequence of a call is worked on. Made once a run: for short sequences it would cost each block a tenth of its time.
struct SequencePlan {
    std::int64_t b;
    Sequence sequence;
    SequenceSchedule schedule;
    std::int64_t first_item;  ///< the number of its first item; those of one sequence follow one another
};

/// Which rows: [row, row + rows) of a key/value head of a sequence. Row r is query r / group, query head r % group of that head's
/// group, so that rows that share a lane vector have nearly the same position. A block of one sequence is one place; a block of
/// shared keys has the rows of several, one behind the other.
struct BlockPlace {
    std::int64_t b;
    Sequence sequence;
    SequenceSchedule schedule;
    std::int64_t kv_head, row, rows;
};

/// function(query, head) for each row in order.
template <class Function>
void for_rows(const BlockPlace& place, std::int64_t group, Function function) {
    const std::int64_t first_head = place.kv_head * group;
    if (group == 1) {  // no division, and a loop for vectors: the blocks of short sequences take no longer than ten such loops
        for (std::int64_t query = place.row; query < place.row + place.rows; ++query) function(query, first_head);
        return;
    }
    std::int64_t query = place.row / group, head = place.row % group;
    for (std::int64_t left = place.rows; left > 0; ++query, head = 0)
        for (; head < group && left > 0; ++head, --left) function(query, first_head + head);
}

}  // namespace headwise
