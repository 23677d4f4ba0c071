// No array is read or written beyond its ends: each touches an inaccessible page, at its beginning or at its end.
#include <doctest/doctest.h>

#include <vector>

#include "tests/attention/variant_call.hpp"

namespace headwise::test {
namespace {

constexpr Packing kPackings[] = {Packing::dense, Packing::padded, Packing::ragged, Packing::paged, Packing::ragged_paged};
constexpr std::int64_t kPageSizes[] = {1, 5, 16, 33};

/// The same bits with the arrays' beginnings and with their ends at inaccessible pages.
void check_ends(const Variants& variants, const std::vector<SequenceSizes>& sequences, Placing placing, const HeadSizes& heads) {
    const VariantCall above(variants, sequences, placing, heads);
    INFO(above.text());
    above.run();
    placing.guard = Guard::below;
    const VariantCall below(variants, sequences, placing, heads);
    below.run();
    for (std::size_t b = 0; b < sequences.size(); ++b) CHECK(same_bits(above.results(b), below.results(b)));
}

void check_sizes(const std::vector<std::int64_t>& query_lengths, const std::vector<std::int64_t>& key_lengths) {
    std::size_t turn = 0;
    for (const Variants& variants : all_variants())
        for (const std::int64_t queries : query_lengths)
            for (const std::int64_t keys : key_lengths) {
                const Placing placing{.packing = kPackings[turn % 5], .page_size = kPageSizes[turn / 5 % 4]};
                const HeadSizes heads = turn % 2 == 0 ? HeadSizes{3, 1, 5, 3} : HeadSizes{2, 2, 19, 9};
                ++turn;
                std::vector<SequenceSizes> sequences = {{queries, keys, 1}};
                if (placing.packing != Packing::dense) sequences.push_back({queries / 2, keys / 2, 2});
                if (variants.tree && keys < queries) continue;
                check_ends(variants, sequences, placing, heads);
            }
}

TEST_CASE("decode stays within its arrays, whatever is asked for") {
    check_sizes({1, 2}, {1, 2, 7, 8, 9, 15, 17, 31, 33, 63, 64, 65, 127, 129, 515});
}

TEST_CASE("prefill stays within its arrays, whatever is asked for") {
    check_sizes({3, 5, 9, 17, 33, 65}, {1, 7, 9, 15, 16, 17, 33, 65, 97, 129});
}

}  // namespace
}  // namespace headwise::test
