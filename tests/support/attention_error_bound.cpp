#include "tests/support/attention_error_bound.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/reference/attention_head.hpp"

namespace headwise::test {
namespace {

constexpr double kUnit = 0x1p-24;  // u: half the distance of 1 from the next float
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kDenormal = 0x1p-149;  // the smallest float: results that are denormal are off by half of it
constexpr double kRange = 0x1p127;      // nothing may come near the largest float
constexpr double kCutWeight = 0x1p-92;  // what weights that are taken for 0 may come to
constexpr double kSmallError = 0.1;     // of logits: exp(e) - 1 <= e + e^2 below

double magnitude(double x) {
    return std::abs(x);
}

/// [batch, heads, rows, 1], whatever out's last extent is.
std::array<std::int64_t, 4> one_column(std::array<std::int64_t, 4> extent) {
    extent[3] = 1;
    return extent;
}

/// One row's keys: logits, what they may be off by, and what becomes of that.
class RowBound {
  public:
    void clear() {
        logits_.clear();
        errors_.clear();
    }
    void add(double logit, double error) {
        logits_.push_back(logit);
        errors_.push_back(error);
    }

    /// Once all keys are there.
    void finish() {
        const double largest = *std::ranges::max_element(logits_);
        double sum = 0;
        weights_.resize(logits_.size());
        for (std::size_t j = 0; j < logits_.size(); ++j) sum += weights_[j] = std::exp(logits_[j] - largest);
        for (double& weight : weights_) weight /= sum;
        log_sum_exp_ = largest + std::log(sum);
        for (std::size_t j = 0; j < logits_.size(); ++j) errors_[j] += kUnit * (2 * (largest - logits_[j]) + 16);
        shares_.resize(weights_.size());
        most_.resize(weights_.size());
        if (*std::ranges::max_element(errors_) <= kSmallError)
            spread_small_errors();
        else
            spread_large_errors();
    }

    std::size_t keys() const { return logits_.size(); }
    double log_sum_exp() const { return log_sum_exp_; }
    double log_sum_exp_error() const { return log_sum_exp_error_; }
    double weight(std::size_t j) const { return weights_[j]; }
    /// A mean of values x_j that is m is off by at most the sum of share(j) |x_j - m|: c_j of the header.
    double share(std::size_t j) const { return shares_[j]; }
    /// The most that the key's weight can be.
    double most(std::size_t j) const { return most_[j]; }

  private:
    void spread_small_errors() {
        const double least_sum = 1 - *std::ranges::max_element(errors_);
        log_sum_exp_error_ = 0;
        for (std::size_t j = 0; j < weights_.size(); ++j) {
            shares_[j] = weights_[j] * errors_[j] * (1 + errors_[j]) / least_sum;
            log_sum_exp_error_ += shares_[j];
            most_[j] = std::min(weights_[j] + shares_[j] / least_sum, 1.0);
        }
    }

    /// With errors as they are and with errors counted from the key that is surely the largest.
    void spread_large_errors() {
        std::size_t anchor = 0;
        double up = -kInfinity, down = -kInfinity;
        for (std::size_t j = 0; j < weights_.size(); ++j) {
            if (logits_[j] - errors_[j] > logits_[anchor] - errors_[anchor]) anchor = j;
            up = std::max(up, logits_[j] + errors_[j]);
            down = std::max(down, logits_[j] - errors_[j]);
        }
        double sum_up = 0, sum_down = 0;
        for (std::size_t j = 0; j < weights_.size(); ++j) {
            sum_up += std::exp(logits_[j] + errors_[j] - up);
            sum_down += std::exp(logits_[j] - errors_[j] - down);
        }
        log_sum_exp_error_ = std::max(up + std::log(sum_up) - log_sum_exp_, log_sum_exp_ - (down + std::log(sum_down)));

        const double total = spread(weights_.size(), 0);
        const std::vector<double> shares = shares_, most = most_;
        const double total_from_anchor = spread(anchor, errors_[anchor]);
        if (total < total_from_anchor) shares_ = shares;
        for (std::size_t j = 0; j < most_.size(); ++j) most_[j] = std::min(most_[j], most[j]);
    }

    /// Every key's error is `more`, but for one, which has none. Returns the sum of the shares.
    double spread(std::size_t without_error, double more) {
        const auto error = [&](std::size_t j) { return j == without_error ? 0 : errors_[j] + more; };
        double least_sum = 0, total = 0;
        for (std::size_t j = 0; j < weights_.size(); ++j) least_sum += std::exp(logits_[j] - log_sum_exp_ - error(j));
        for (std::size_t j = 0; j < weights_.size(); ++j) {
            const double e = error(j), raised = std::exp(logits_[j] - log_sum_exp_ + e);
            const double rise = e < 1 ? weights_[j] * std::expm1(e) : raised;
            constexpr double kLargest = 1e200;  // so that 0 times it is 0
            const auto share = [&](double x) { return x == 0 ? 0 : least_sum > 0 ? std::min(x / least_sum, kLargest) : kLargest; };
            shares_[j] = share(rise);
            most_[j] = std::min(share(raised), 1.0);
            total += shares_[j];
        }
        return total;
    }

    std::vector<double> logits_, errors_, weights_, shares_, most_;
    double log_sum_exp_ = 0, log_sum_exp_error_ = 0;
};

/// One query head of one sequence.
class HeadBound {
  public:
    HeadBound(const reference::AttentionCall<double>& call, const AttentionOptions& options, const AttentionArguments& arguments,
              const TensorView<const double, 4>& value, std::int64_t b, std::int64_t h)
        : call_(call),
          options_(options),
          arguments_(arguments),
          b_(b),
          h_(h),
          dim_(call.head_dim()),
          scale_(call.logit_rules.scale(h)),
          queries_(call.sequences.query_rows(call.query, b, h)),
          keys_(call.sequences.key_rows(call.key, b, call.kv_head(h))),
          values_(call.sequences.key_rows(value, b, call.kv_head(h))) {
        const reference::Sequences& s = call.sequences;
        query_sizes_ = sizes_of(queries_, s.queries(b));
        key_sizes_ = sizes_of(keys_, s.keys(b));
        key_sums_.resize(static_cast<std::size_t>(s.keys(b)));
        for (std::size_t j = 0; j < key_sums_.size(); ++j)
            for (std::int64_t d = 0; d < dim_; ++d)
                key_sums_[j] += key_sizes_[j * static_cast<std::size_t>(dim_) + static_cast<std::size_t>(d)];
        if (!call.rope) return;
        const auto turn = [&](reference::SequenceRows<const double>& rows, std::vector<double>& turned, std::int64_t count,
                              auto position) {
            turned = reference::turned_rows(rows, count, dim_, *call.rope, position);
            rows = {turned.data(), dim_, 1};
        };
        turn(queries_, turned_queries_, s.queries(b), [&](std::int64_t i) { return s.query_rope_position(b, i); });
        turn(keys_, turned_keys_, s.keys(b), [&](std::int64_t j) { return s.key_rope_position(b, j); });
    }

    /// Row i's exact result and its bounds.
    void bound_row(std::int64_t i, const reference::Row<double>& exact, const reference::Row<double>& bound, double& exact_sum,
                   double& bound_of_sum) {
        call_.visibility.list_keys(b_, h_, i, seen_);
        row_.clear();
        in_range_ = true;
        const double* sizes = query_sizes_.data() + i * dim_;
        largest_query_ = *std::max_element(sizes, sizes + dim_);
        std::size_t count = 0;
        for (const std::int64_t j : seen_)
            if (add_key(i, j)) seen_[count++] = j;
        seen_.resize(count);
        if (const std::optional<double> sink = call_.logit_rules.sink(h_); sink && *sink != -kInfinity) row_.add(*sink, 0);
        exact_sum = -kInfinity;
        bound_of_sum = 0;
        const std::int64_t dims = arguments_.value.extent[3];
        for (std::int64_t d = 0; d < dims; ++d) exact[d] = bound[d] = 0;
        if (seen_.empty()) {
            if (const std::optional<double> sink = call_.logit_rules.sink(h_))
                exact_sum = *sink, bound_of_sum = 2 * kUnit * magnitude(*sink);
            return;
        }
        row_.finish();
        const auto n = static_cast<double>(count);
        const double roundings = kUnit * (std::min(n, 480.0) + 16);
        exact_sum = row_.log_sum_exp();
        bound_of_sum =
            in_range_ ? row_.log_sum_exp_error() + roundings * (1 + 2 * roundings) + 2 * kUnit * magnitude(exact_sum) : kInfinity;
        bound_values(2 * roundings / (1 - 2 * roundings), exact, bound);
    }

  private:
    /// |x| of each element; with RoPE, what it may be before and after its pair has been turned, the pair's length.
    std::vector<double> sizes_of(const reference::SequenceRows<const double>& rows, std::int64_t count) const {
        std::vector<double> sizes(static_cast<std::size_t>(count * dim_));
        for (std::int64_t i = 0; i < count; ++i) {
            const reference::Row<const double> row = rows[i];
            double* to = sizes.data() + i * dim_;
            for (std::int64_t d = 0; d < dim_; ++d) to[d] = magnitude(row[d]);
            if (!call_.rope) continue;
            const std::int64_t pairs = call_.rope->dims / 2;
            const bool interleaved = call_.rope->pairs == RopePairs::interleaved;
            for (std::int64_t pair = 0; pair < pairs; ++pair) {
                const std::int64_t x = interleaved ? 2 * pair : pair, y = interleaved ? 2 * pair + 1 : pair + pairs;
                to[x] = to[y] = std::hypot(row[x], row[y]);
            }
        }
        return sizes;
    }

    struct Score {
        double x, error;
    };

    /// scale * <query, key>, in the nats of the logits.
    Score product(std::int64_t i, std::int64_t j) {
        const reference::Row<const double> q = queries_[i], k = keys_[j];
        const double* query_sizes = query_sizes_.data() + i * dim_;
        const double* key_sizes = key_sizes_.data() + j * dim_;
        double dot = 0, sum = 0;
        for (std::int64_t d = 0; d < dim_; ++d) {
            dot += q[d] * k[d];
            sum += query_sizes[d] * key_sizes[d];
        }
        // What a nat is to the kernels: they multiply queries with scale / unit.
        const double unit = options_.softcap != 0                 ? magnitude(options_.softcap) * std::numbers::ln2 / 2
                            : arguments_.score_function.apply_one ? 1
                                                                  : std::numbers::ln2;
        const double size = magnitude(scale_) * sum;
        if (!(size / unit < kRange && magnitude(scale_) * largest_query_ / unit < kRange)) in_range_ = false;
        const auto dims = static_cast<double>(dim_);
        const double denormals = unit * kDenormal * (key_sums_[static_cast<std::size_t>(j)] + sum + dims);
        return {scale_ * dot, kUnit * (dims + (call_.rope ? 12 : 4)) * size + denormals};
    }

    /// What a monotonous function makes of a score and its error.
    template <class Function>
    static Score image(const Score& score, Function function) {
        const double x = function(score.x);
        return {x, std::max(magnitude(function(score.x + score.error) - x), magnitude(function(score.x - score.error) - x))};
    }

    /// False where the score function hides the pair.
    bool add_key(std::int64_t i, std::int64_t j) {
        Score s = product(i, j);
        if (options_.softcap != 0) {
            const double cap = options_.softcap;
            s = image(s, [&](double x) { return cap * std::tanh(x / cap); });
            s.error += 10 * kUnit * magnitude(s.x);
        }
        if (const ScoreFunction& f = arguments_.score_function; f.apply_one) {
            const double before = s.x;
            s = image(s, [&](double x) { return f.apply_one(f.function, x, b_, h_, i, j); });
            if (s.x == -kInfinity) return false;
            s.error += 4 * kUnit * (magnitude(before) + magnitude(s.x));
        }
        const auto add = [&](double x) {
            s.x += x;
            s.error += kUnit * (2 * magnitude(x) + magnitude(s.x));
        };
        if (arguments_.bias.data) {
            const double bias = reference::repeated_at(arguments_.bias, b_, h_, i, j);
            if (bias == -kInfinity) return false;
            add(bias);
        }
        if (!arguments_.alibi_slopes.empty())
            add(static_cast<double>(arguments_.alibi_slopes[static_cast<std::size_t>(h_)]) *
                static_cast<double>(call_.sequences.key_position(b_, j) - call_.sequences.query_position(b_, i)));
        if (!(magnitude(s.x) / std::numbers::ln2 < kRange)) in_range_ = false;
        row_.add(s.x, s.error);
        return true;
    }

    void bound_values(double roundings, const reference::Row<double>& exact, const reference::Row<double>& bound) {
        const auto dims = static_cast<std::size_t>(arguments_.value.extent[3]);
        const std::size_t count = seen_.size();
        constexpr double kMatters = 0x1p-100;
        for (std::size_t n = 0; n < count; ++n) {
            const double* v = values_[seen_[n]].data;
            const double weight = row_.weight(n);
            for (std::size_t d = 0; d < dims; ++d) exact.data[d] += weight * v[d];
        }
        for (std::vector<double>* sums : {&by_errors_, &sizes_, &cut_, &largest_, &farthest_, &far_ones_}) sums->assign(dims, 0);
        for (std::size_t n = 0; n < count; ++n) {
            const double* v = values_[seen_[n]].data;
            const double share = row_.share(n), most = row_.most(n), far = most < kMatters ? most : 0,
                         near = most < kMatters ? 0 : 1;
            for (std::size_t d = 0; d < dims; ++d) {
                const double distance = magnitude(v[d] - exact.data[d]), size = magnitude(v[d]);
                by_errors_[d] += share * distance;
                sizes_[d] += most * size;
                cut_[d] += distance;
                largest_[d] = std::max(largest_[d], size);
                farthest_[d] = std::max(farthest_[d], near * distance);
                far_ones_[d] += far * distance;
            }
        }
        for (std::size_t d = 0; d < dims; ++d) {
            if (row_.keys() > count) {  // a sink, of value 0
                by_errors_[d] += row_.share(count) * magnitude(exact.data[d]);
                farthest_[d] = std::max(farthest_[d], magnitude(exact.data[d]));
            }
            bound.data[d] = std::min(by_errors_[d], farthest_[d] + far_ones_[d]) + roundings * std::min(sizes_[d], largest_[d]) +
                            kCutWeight * cut_[d] + (static_cast<double>(count) + 2) * kDenormal;
            if (!in_range_ || !(largest_[d] * 256 * static_cast<double>(count) < kRange)) bound.data[d] = kInfinity;
        }
    }

    const reference::AttentionCall<double>& call_;
    const AttentionOptions& options_;
    const AttentionArguments& arguments_;
    const std::int64_t b_, h_;
    const std::int64_t dim_;
    const double scale_;
    reference::SequenceRows<const double> queries_, keys_, values_;
    std::vector<double> turned_queries_, turned_keys_, query_sizes_, key_sizes_, key_sums_;
    std::vector<std::int64_t> seen_;
    RowBound row_;
    std::vector<double> by_errors_, sizes_, cut_, largest_, farthest_, far_ones_;  // of one row, for each of its dimensions
    double largest_query_ = 0;
    bool in_range_ = true;
};

}  // namespace

AttentionErrorBound::AttentionErrorBound(const AttentionOptions& options, const AttentionArguments& arguments)
    : exact(arguments.out.extent),
      bound(arguments.out.extent),
      exact_sums(one_column(arguments.out.extent)),
      bound_of_sums(one_column(arguments.out.extent)) {
    std::ranges::fill(exact_sums.data, -kInfinity);  // rows of no sequence
    const PlainTensor<double> query = widened(arguments.query), key = widened(arguments.key), value = widened(arguments.value);
    const reference::AttentionCall<double> call(query.view, key.view, options, arguments);
    const TensorView<const double, 4> values = value.view;
    for (std::int64_t b = 0; b < call.sequences.count(); ++b)
        for (std::int64_t h = 0; h < call.heads(); ++h) {
            HeadBound head(call, options, arguments, values, b, h);
            const auto rows = [&](const PlainTensor<double>& tensor) { return call.sequences.query_rows(tensor.view, b, h); };
            const auto out = rows(exact), out_bound = rows(bound), sums = rows(exact_sums), sums_bound = rows(bound_of_sums);
            for (std::int64_t i = 0; i < call.sequences.queries(b); ++i)
                head.bound_row(i, out[i], out_bound[i], sums[i][0], sums_bound[i][0]);
        }
}

}  // namespace headwise::test
