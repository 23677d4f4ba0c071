#include <doctest/doctest.h>

#include "tests/support/attention_case.hpp"

namespace headwise::test {
namespace {

constexpr Causal kCausal[] = {Causal::none, Causal::top_left, Causal::bottom_right};

TEST_CASE("every number of query rows up to two blocks and around larger ones") {
    for (std::int64_t queries = 0; queries <= 140; ++queries)
        for (const Causal causal : kCausal)
            check_attention({.shape = {.query_length = queries, .key_length = 37, .head_dim = 20}, .options = {.causal = causal}});
}

}  // namespace
}  // namespace headwise::test
