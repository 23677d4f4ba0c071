#pragma once

#include <cstdint>

#include "variants/workload.hpp"

/// What a workload computes, and which values it is given. Each changes the variant alone unless it says otherwise: shapes, rules
/// and layouts stay the plain case's, so that any difference in time is one of values.
namespace headwise::tools {

// ---- What is computed, by both sides

void compute_weights(VariantWorkload& w);                      ///< attention_weights(), all of them
void compute_top_weights(VariantWorkload& w, std::int64_t k);  ///< the k largest of each row and their keys
/// merge_states() of two, the second's log-sum-exps 1 below: as in all variants, so that no branch is harder to guess on one side.
void compute_merged_states(VariantWorkload& w);

// ---- Logits

/// Scales the logits so that the first query's are so far apart. 0: all logits are 0.
void spread_logits(VariantWorkload& w, double apart);
/// Both sides have a bias of normal numbers for each pair; the variant's is `bias` at every other key.
void bias_every_other_key(VariantWorkload& w, float bias);
void bias_rising_by(VariantWorkload& w, float step);        ///< likewise; the variant's is step * key, in the order of keys
void bias_falling_at_half(VariantWorkload& w, float bias);  ///< likewise; the variant's is `bias` at the later half of the keys
void set_steep_alibi(VariantWorkload& w, float slope);      ///< both sides have ALiBi, the plain case with the usual slopes
void set_large_sinks(VariantWorkload& w, float sink);       ///< both sides have sinks, the plain case of 0 to a few
void spread_capped_logits(VariantWorkload& w,
                          double apart);  ///< both sides have a softcap of 50, before which they are so far apart
/// Of merge_states(): the second state's log-sum-exps are so far below the first one's. Infinity: it has seen no key.
void set_states_apart(VariantWorkload& w, double apart);

// ---- Values so small that they, or their products, are denormal numbers, or so odd

void multiply_queries(VariantWorkload& w, float factor);
void multiply_keys(VariantWorkload& w, float factor);
void multiply_values(VariantWorkload& w, float factor);
void multiply_states(VariantWorkload& w, float factor);  ///< of merge_states(): both results
/// Both sides have a mask that hides every other key; the variant's keys and values are NaN there.
void hide_nan(VariantWorkload& w);

}  // namespace headwise::tools
