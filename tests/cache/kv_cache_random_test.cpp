// Random operations against a plain list of rows for each sequence: HEADWISE_TEST_CASES=N tries N caches, HEADWISE_TEST_SEED=S
// starts with that of seed S.
#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/cache/tokens.hpp"
#include "tests/support/error_message.hpp"

namespace headwise::test {
namespace {

KvCacheShape random_shape(RandomNumbers& random) {
    return {.num_kv_heads = random.between(1, 3),
            .head_dim = random.between(1, 9),
            .value_dim = random.chance(0.5) ? 0 : random.between(1, 9),
            .page_size = random.one_of({1, 2, 3, 5, 16, 50}),
            .pages = random.between(1, 24)};
}

/// A cache and what it should hold.
class Model {
  public:
    explicit Model(std::uint64_t seed) : random_(seed), cache_(random_shape(random_)) { poison(cache_); }

    void step() {
        const std::int64_t draw = random_.between(0, 99);
        if (sequences_.empty() || draw < 8) {
            add();
        } else if (draw < 55) {
            append_to_any();
        } else if (draw < 70) {
            truncate();
        } else if (draw < 86) {
            fork();
        } else if (sequences_.size() > 6 || draw > 94) {
            remove();
        }
    }

    /// Everything that can be asked is as the model has it.
    void check() {
        std::set<std::int32_t> held;
        for (const auto& [id, rows] : sequences_) {
            const auto length = static_cast<std::int64_t>(rows.size());
            REQUIRE(cache_.contains(id));
            REQUIRE(cache_.length(id) == length);
            REQUIRE(cache_.pages(id).size() == pages_of(length));
            REQUIRE(rows_of(cache_, id) == rows);
            held.insert(cache_.pages(id).begin(), cache_.pages(id).end());
        }
        REQUIRE(cache_.free_pages() == cache_.shape().pages - static_cast<std::int64_t>(held.size()));
        check_batch();
    }

  private:
    std::size_t pages_of(std::int64_t length) const {
        return static_cast<std::size_t>((length + cache_.shape().page_size - 1) / cache_.shape().page_size);
    }

    std::map<SequenceId, Rows>::iterator any() {
        return std::next(sequences_.begin(), random_.between(0, static_cast<std::int64_t>(sequences_.size()) - 1));
    }

    /// As the lists of pages tell: those that the tokens fill, less those that the sequence has and does not share.
    std::int64_t expected_need(SequenceId id, std::int64_t n) const {
        const std::int64_t length = cache_.length(id);
        const auto pages = cache_.pages(id);
        auto need = static_cast<std::int64_t>(pages_of(length + n) - pages.size());
        if (n > 0 && length % cache_.shape().page_size != 0)
            need += std::any_of(sequences_.begin(), sequences_.end(), [&](const auto& other) {
                const auto theirs = cache_.pages(other.first);
                return other.first != id && std::find(theirs.begin(), theirs.end(), pages.back()) != theirs.end();
            });
        return need;
    }

    void add() {
        const SequenceId id = cache_.add_sequence();
        REQUIRE(sequences_.emplace(id, Rows{}).second);
    }

    void append_to_any() {
        auto& [id, rows] = *any();
        const std::int64_t n = random_.between(0, random_.chance(0.5) ? 1 : 2 * cache_.shape().page_size + 3);
        const Tokens tokens(random_, cache_.shape(), n, random_layout(random_, true), random_layout(random_, true));
        const std::int64_t need = expected_need(id, n), free = cache_.free_pages();
        CAPTURE(n);
        REQUIRE(cache_.pages_needed(id, n) == need);
        const std::string message = message_of([&] { append(cache_, id, tokens); });
        if (need > free) {
            check_message(message, {"needs " + std::to_string(need) + " free", std::to_string(free) + " are free"});
            REQUIRE(cache_.free_pages() == free);
        } else {
            REQUIRE(message == kNoError);
            REQUIRE(cache_.free_pages() == free - need);
            rows = joined(rows, rows_of(tokens));
        }
    }

    void truncate() {
        auto& [id, rows] = *any();
        rows.resize(static_cast<std::size_t>(random_.between(0, static_cast<std::int64_t>(rows.size()))));
        cache_.truncate(id, static_cast<std::int64_t>(rows.size()));
    }

    void fork() {
        const auto& [id, rows] = *any();
        const std::int64_t free = cache_.free_pages();
        const SequenceId copy = cache_.fork(id);
        REQUIRE(sequences_.emplace(copy, rows).second);
        REQUIRE(cache_.free_pages() == free);
    }

    void remove() {
        const auto removed = any();
        cache_.remove(removed->first);
        REQUIRE_FALSE(cache_.contains(removed->first));
        sequences_.erase(removed);
    }

    /// In whole pages, page by page.
    std::int64_t keys_in_common(const std::vector<SequenceId>& ids) const {
        const std::int64_t page_size = cache_.shape().page_size;
        for (std::int64_t keys = 0; ids.size() > 1; keys += page_size)
            for (const SequenceId id : ids) {
                const auto page = static_cast<std::size_t>(keys / page_size);
                if (cache_.length(id) < keys + page_size || cache_.pages(id)[page] != cache_.pages(ids[0])[page]) return keys;
            }
        return 0;
    }

    /// The batch of some sequences, in any order, in an object that held others before.
    void check_batch() {
        std::vector<SequenceId> ids;
        for (std::int64_t i = sequences_.empty() ? 0 : random_.between(0, 5); i > 0; --i) ids.push_back(any()->first);
        cache_.make_batch(ids, batch_);
        const auto table = batch_.page_table();
        REQUIRE(table.extent[0] == static_cast<std::int64_t>(ids.size()));
        for (std::size_t b = 0; b < ids.size(); ++b) {
            REQUIRE(batch_.key_lengths()[b] == cache_.length(ids[b]));
            std::vector<std::int32_t> expected(cache_.pages(ids[b]).begin(), cache_.pages(ids[b]).end());
            expected.resize(static_cast<std::size_t>(table.extent[1]));
            const std::int32_t* row = table.data + static_cast<std::int64_t>(b) * table.stride[0];
            REQUIRE(std::vector<std::int32_t>(row, row + table.extent[1]) == expected);
        }
        REQUIRE(batch_.shared_keys() == keys_in_common(ids));
    }

    RandomNumbers random_;
    KvCache cache_;
    KvBatch batch_;
    std::map<SequenceId, Rows> sequences_;
};

TEST_CASE("random operations") {
    const int cases = test_cases(40);
    for (int i = 0; i < cases; ++i) {
        const std::uint64_t seed = test_seed() + static_cast<std::uint64_t>(i);
        INFO(reproduction(seed));
        Model model(seed);
        for (int step = 0; step < 300; ++step) {
            CAPTURE(step);
            model.step();
            model.check();
        }
    }
}

}  // namespace
}  // namespace headwise::test
