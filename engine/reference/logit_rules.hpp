#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "engine/reference/repeated.hpp"
#include "engine/reference/sequences.hpp"
#include "headwise/attention.hpp"
#include "headwise/attention_arguments.hpp"

namespace headwise::reference {

/// What makes a logit of the product <query, key>, in T. The arguments must outlive it.
template <class T>
class LogitRules {
  public:
    LogitRules(std::int64_t head_dim, const Sequences& sequences, const AttentionOptions& options, const AttentionArguments& rules)
        : scale_(options.scale ? static_cast<T>(*options.scale) : 1 / std::sqrt(static_cast<T>(head_dim))),
          softcap_(static_cast<T>(options.softcap)),
          any_(options.softcap != 0 || rules.score_function.apply_one || rules.bias.data || !rules.alibi_slopes.empty()),
          sequences_(sequences),
          rules_(rules) {}

    T scale(std::int64_t h) const { return rules_.scales.empty() ? scale_ : static_cast<T>(of_head(rules_.scales, h)); }

    /// scores[n], the scaled product of query i and key keys[n], becomes their logit. Pairs that the score function masks go.
    void apply(std::int64_t b, std::int64_t h, std::int64_t i, std::vector<std::int64_t>& keys, std::vector<T>& scores) const {
        if (!any_) return;
        std::size_t kept = 0;
        for (std::size_t n = 0; n < keys.size(); ++n)
            if (const std::optional<T> x = logit(scores[n], b, h, i, keys[n])) {
                keys[kept] = keys[n];
                scores[kept++] = *x;
            }
        keys.resize(kept);
        scores.resize(kept);
    }

    std::optional<T> sink(std::int64_t h) const {
        return rules_.sinks.empty() ? std::optional<T>() : static_cast<T>(of_head(rules_.sinks, h));
    }

  private:
    /// None where the score function masks the pair.
    std::optional<T> logit(T score, std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) const {
        if (softcap_ != 0) score = softcap_ * std::tanh(score / softcap_);
        if (const ScoreFunction& custom = rules_.score_function; custom.apply_one) {
            score = static_cast<T>(custom.apply_one(custom.function, static_cast<double>(score), b, h, i, j));
            if (score == -std::numeric_limits<T>::infinity()) return std::nullopt;
            score = bounded(score);
        }
        if (rules_.bias.data) score += bounded(static_cast<T>(repeated_at(rules_.bias, b, h, i, j)));
        if (!rules_.alibi_slopes.empty())
            score += static_cast<T>(of_head(rules_.alibi_slopes, h)) *
                     static_cast<T>(sequences_.key_position(b, j) - sequences_.query_position(b, i));
        return score;
    }

    /// Finite numbers below kLowest count as that, those above kHighest as +Inf (AttentionArguments).
    static T bounded(T x) {
        constexpr T kLowest = static_cast<T>(-0x1.62p+127), kHighest = static_cast<T>(0x1.63p+127);
        if (x > kHighest) return std::numeric_limits<T>::infinity();
        return std::isinf(x) || !(x < kLowest) ? x : kLowest;
    }

    static float of_head(std::span<const float> values, std::int64_t h) { return values[static_cast<std::size_t>(h)]; }

    T scale_, softcap_;
    bool any_;  ///< of the rules; without them the scaled product is the logit
    const Sequences& sequences_;
    const AttentionArguments& rules_;
};

}  // namespace headwise::reference
