#include "variants/suite.hpp"

#include <fmt/format.h>

#include "variants/bytes.hpp"
#include "variants/list.hpp"
#include "variants/variants.hpp"

namespace headwise::tools {
namespace {

constexpr std::int64_t kPageSize = 16, kMaskBlock = 64;

// What a variant may cost. Rules that are read pair by pair from memory, rules that are arithmetic on positions, a tanh for each
// pair, one more number for each row, other addresses alone.
constexpr double kPairGoal = 0.10, kPositionGoal = 0.05, kSoftcapGoal = 0.15, kRowGoal = 0.01, kPageGoal = 0.05, kLayoutGoal = 0.03;

void half_visible(VariantWorkload& w) {
    add_mask(w, 0.5);
}
void most_visible(VariantWorkload& w) {
    add_mask(w, 0.9);
}
void half_of_bits(VariantWorkload& w) {
    add_mask_bits(w, 0.5);
}
void half_of_blocks(VariantWorkload& w) {
    add_block_mask(w, 0.5, kMaskBlock);
}
void in_pages(VariantWorkload& w) {
    put_into_pages(w, kPageSize);
}
std::int64_t prefix_of(const AttentionShape& shape) {
    return shape.key_length * 16 / 17 / kPageSize * kPageSize;
}
void behind_shared_prefix(VariantWorkload& w) {
    share_prefix(w, kPageSize, prefix_of(w.variant.shape));
}
std::int64_t window_of(const AttentionShape& shape) {
    return shape.key_length / 16;
}
void narrow_window(VariantWorkload& w) {
    add_window(w, window_of(w.variant.shape));
}

Variant with_pairs(Variant v) {
    v.more = bytes_of_pairs;
    return v;
}

Variant with_copies(Variant v) {
    v.more = bytes_of_copies;
    return v;
}

Variant with_pool(Variant v) {
    v.more = [](const AttentionShape& s) { return bytes_of_pool(s, s.batch * (s.key_length + kPageSize)); };
    return v;
}

Variant with_shared_pool(Variant v) {
    v.more = [](const AttentionShape& s) {
        const std::int64_t prefix = prefix_of(s);
        return bytes_of_pool(s, prefix + s.batch * (s.key_length + kPageSize - prefix));
    };
    return v;
}

}  // namespace

std::vector<VariantEntry> variant_suite(const VariantShapes& shapes) {
    VariantList suite;
    suite.add(shapes.prefill, Causal::none,
              {with_pairs({"mask of bytes, 50 % visible", half_visible, kPairGoal}),
               with_pairs({"mask of bytes, 90 % visible", most_visible, kPairGoal}),
               with_pairs({"mask of bits, 50 % visible", half_of_bits, kPairGoal}),
               with_pairs({"additive bias", add_bias, kPairGoal}),
               {"window wider than everything", add_wide_window, kPositionGoal},
               {"ALiBi", add_alibi, kPositionGoal},
               {"softcap", add_softcap, kSoftcapGoal},
               {"sinks", add_sinks, kRowGoal},
               {"log-sum-exp", add_log_sum_exp, kRowGoal},
               {"scales per head", add_scales},
               with_pool({"pages of 16, shuffled", in_pages, kPageGoal}),
               with_copies({"packed QKV, [B,S,3,H,D]", pack_query_key_value, kLayoutGoal}),
               with_copies({"[B,S,H,D]", put_heads_inside, kLayoutGoal}),
               with_pairs({"block mask, 50 % of 64 x 64", half_of_blocks})});
    suite.add(shapes.prefill, Causal::bottom_right, {with_pairs({"causal by a mask of bytes", causal_by_mask})});
    suite.add(shapes.batched_prefill, Causal::none, {{"key lengths, all the same", add_key_lengths, kPositionGoal}});
    suite.add(shapes.grouped_prefill, Causal::none,
              {with_pairs({"mask of bytes, 50 % visible", half_visible, kPairGoal}),
               with_pairs({"additive bias", add_bias, kPairGoal}),
               {"softcap", add_softcap, kSoftcapGoal},
               with_pool({"pages of 16, shuffled", in_pages, kPageGoal})});
    // 8.2 times fewer pairs: a ratio of 7 leaves 15 % for the ends of the window.
    suite.add(shapes.long_prefill, Causal::bottom_right,
              {{fmt::format("window of {} keys", window_of(shapes.long_prefill)), narrow_window, 7, Figure::speedup}});
    suite.add(shapes.even_batch, Causal::none,
              {with_copies({fmt::format("ragged, 1 to {} tokens", 2 * shapes.even_batch.query_length), make_ragged, 0.85,
                            Figure::flop_rate})});
    suite.add(shapes.speculation, Causal::bottom_right, {{"tree mask", tree_instead_of_causal}});
    suite.add(shapes.decode, Causal::none,
              {with_pool({"pages of 16, shuffled", in_pages, kPageGoal}),
               with_copies({"[B,S,H,D]", put_heads_inside, kLayoutGoal}),
               {"key lengths, all the same", add_key_lengths, kPositionGoal},
               with_pairs({"mask of bytes, 50 % visible", half_visible, kPairGoal}),
               with_pairs({"additive bias", add_bias, kPairGoal}),
               {"ALiBi", add_alibi, kPositionGoal},
               {"softcap", add_softcap, kSoftcapGoal},
               {"log-sum-exp", add_log_sum_exp, kRowGoal}});
    suite.add(plain_case_text(shapes.prefix_decode, Causal::none) + ", pages of 16", shapes.prefix_decode, Causal::none,
              {with_shared_pool({fmt::format("{} keys shared by all, read once", prefix_of(shapes.prefix_decode)),
                                 behind_shared_prefix,
                                 {},
                                 Figure::speedup})});
    suite.add(shapes.shared_key_decode, Causal::none,
              {{"share of the read bandwidth", nullptr, 0.90, Figure::bandwidth, 2},
               {"all threads beside one", nullptr, 1.8, Figure::thread_speedup, 2}});
    return suite.take();
}

}  // namespace headwise::tools
