#pragma once

#include <cstdint>
#include <memory>

namespace headwise {

/// A tile of scores, rows by keys, to be changed in place. Row r is query (first_row + r) / group and query head first_head +
/// (first_row + r) % group; key j is first_key + j. The score of row r and key j is scores[r * row_stride + j * key_stride].
struct ScoreTile {
    float* scores;
    std::int64_t row_stride, key_stride;
    std::int64_t rows, keys;
    std::int64_t batch;       ///< the sequence
    std::int64_t first_head;  ///< the first of the query heads that share a key/value head
    std::int64_t group;       ///< the number of these heads
    std::int64_t first_row, first_key;
};

/// The caller's function, which the kernels apply to tiles of scores while these are in the L1 cache. Make one with
/// score_function(). It must not throw, and many threads may call it at once.
struct ScoreFunction {
    void (*apply)(const void* function, const ScoreTile& tile) = nullptr;
    /// The same for one pair, in double precision if the function supports it. The reference calls it.
    double (*apply_one)(const void* function, double score, std::int64_t batch, std::int64_t head, std::int64_t query,
                        std::int64_t key) = nullptr;
    const void* function = nullptr;
};

/// Makes a ScoreFunction from `function(score, batch, head, query, key) -> score`. `function` takes float scores, and preferably
/// double ones, too: the reference passes doubles. It gets the scaled and soft-capped score of one (query, key) pair and returns
/// the score to use instead. -Inf masks the pair; finite numbers do not (those below -2.35e38 count as -2.35e38). Indices
/// (std::int64_t) count within the sequence.
///
/// The function is compiled with the caller's flags into a loop over a tile, along adjacent lanes, so that a compiler can vectorize
/// it. It is also called for pairs that a mask hides. `function` must outlive the runs that use it.
template <class Function>
ScoreFunction score_function(const Function& function) {
    return {[](const void* opaque, const ScoreTile& tile) {
                const Function& f = *static_cast<const Function*>(opaque);
                const auto at = [&](std::int64_t r, std::int64_t j, std::int64_t query, std::int64_t head) {
                    float& score = tile.scores[r * tile.row_stride + j * tile.key_stride];
                    score = f(score, tile.batch, head, query, tile.first_key + j);
                };
                if (tile.group == 1) {  // the common case, without a division
                    if (tile.row_stride == 1)
                        for (std::int64_t j = 0; j < tile.keys; ++j)
                            for (std::int64_t r = 0; r < tile.rows; ++r) at(r, j, tile.first_row + r, tile.first_head);
                    else
                        for (std::int64_t r = 0; r < tile.rows; ++r)
                            for (std::int64_t j = 0; j < tile.keys; ++j) at(r, j, tile.first_row + r, tile.first_head);
                    return;
                }
                for (std::int64_t r = 0; r < tile.rows; ++r) {
                    const std::int64_t row = tile.first_row + r, query = row / tile.group;
                    const std::int64_t head = tile.first_head + row % tile.group;
                    for (std::int64_t j = 0; j < tile.keys; ++j) at(r, j, query, head);
                }
            },
            [](const void* opaque, double score, std::int64_t batch, std::int64_t head, std::int64_t query,
               std::int64_t key) -> double { return (*static_cast<const Function*>(opaque))(score, batch, head, query, key); },
            std::addressof(function)};
}

/// Not for a temporary, which would be destroyed before a call could use it: give the function a name.
template <class Function>
ScoreFunction score_function(const Function&& function) = delete;

}  // namespace headwise
