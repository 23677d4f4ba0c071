#include "verify/random_attention.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace headwise::tools {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// The caller's function of the cases that have one: depends on all that it is given, and hides some pairs.
struct SampleFunction {
    template <class T>
    T operator()(T score, std::int64_t b, std::int64_t h, std::int64_t q, std::int64_t k) const {
        if ((q * 7 + k * 3 + b) % 11 == 0) return -std::numeric_limits<T>::infinity();
        return score * static_cast<T>(0.75) + static_cast<T>((h + k) % 4) * static_cast<T>(0.25);
    }
};
constexpr SampleFunction kSampleFunction;

std::int64_t units(std::int64_t length, std::int64_t unit) {
    return (length + unit - 1) / unit;
}

}  // namespace

RandomAttention::RandomAttention(std::uint64_t seed, std::uint64_t draw, double cost, FirstPositions first_positions)
    : random_(seed) {
    draw_shape(cost);
    draw_options();
    draw_lengths();
    allocate_tensors();
    if (shares_) draw_shared_keys();
    if (paged_) draw_pages();
    draw_logit_rules();
    draw_masks();
    if (chance()) draw_tree();
    if (chance()) draw_rope();
    draw_first_positions(seed, first_positions);
    fill_values(seed * 1000003 + draw);
    spoil_unused();
    clear_results();
}

/// Logits beyond a few dozen leave the weight to one key but for rare near-ties, on which all error then hangs: too few of them to
/// compare errors.
float RandomAttention::random_scale(RandomNumbers& random) const {
    const auto usual = static_cast<float>(1 / std::sqrt(static_cast<double>(shape.head_dim)));
    return usual * static_cast<float>(random.between(-6, 6)) * 0.25f;
}

void RandomAttention::draw_shape(double cost) {
    const auto length = [&](std::int64_t least, std::int64_t most) {
        const std::int64_t limits[] = {4, 20, 70, 200, most};
        return random_.between(least, std::min(most, random_.one_of(limits)));
    };
    shape.batch = random_.between(1, 4);
    shape.num_kv_heads = random_.between(1, 2);
    shape.num_heads = shape.num_kv_heads * (random_.chance(0.5) ? 1 : random_.between(1, 9));
    shape.head_dim = 2 * length(1, random_.chance(0.1) ? 100 : 34) - (random_.chance(0.2) ? 1 : 0);
    shape.value_dim = random_.chance(0.7) ? shape.head_dim : length(1, 70);
    shape.query_length = random_.chance(0.4) ? random_.between(1, 8) : length(0, 150);
    shape.key_length = random_.chance(0.2) ? shape.query_length : length(0, random_.chance(0.1) ? 1500 : 300);
    const bool many_keys = random_.chance(0.02);  // in many chunks; such a call costs as much as several others
    if (many_keys) {
        shape.batch = random_.between(1, 2);
        shape.key_length = random_.between(1500, 6000);
    }
    const auto size = [&] {
        return static_cast<double>(shape.batch * shape.num_heads * shape.query_length) *
               static_cast<double>(shape.key_length * (shape.head_dim + shape.value_dim));
    };
    while (size() > cost && shape.query_length > 1) shape.query_length /= 2;
    while (size() > 4 * cost && shape.num_heads > shape.num_kv_heads) shape.num_heads -= shape.num_kv_heads;
    while (many_keys && size() > 4 * cost && shape.head_dim + shape.value_dim > 16) {
        shape.head_dim = (shape.head_dim + 1) / 2;
        shape.value_dim = (shape.value_dim + 1) / 2;
    }
    while (size() > 8 * cost) shape.key_length /= 2;
    deviation_ = random_.one_of({0.0f, 0.1f, 1.0f, 1.0f, 1.0f, 4.0f});
}

void RandomAttention::draw_options() {
    options.causal = random_.one_of({Causal::none, Causal::top_left, Causal::bottom_right});
    if (random_.chance(0.3)) options.alignment = Alignment::top_left;
    const auto bound = [&] { return random_.chance(0.3) ? -1 : random_.between(0, random_.one_of({2, 20, 100})); };
    if (chance()) options.window = {bound(), bound()};
    if (chance()) options.scale = random_scale(random_);
    if (chance()) options.softcap = random_.one_of({0.5f, 5.0f, 50.0f});
}

void RandomAttention::draw_lengths() {
    ragged_ = chance();
    paged_ = chance();
    shares_ = (paged_ || !ragged_) && random_.chance(paged_ ? 0.5 : 0.1);
    const bool some_queries = ragged_ || chance(), some_keys = ragged_ || paged_ || chance();
    const std::int64_t fewest_keys = shares_ ? random_.between(0, shape.key_length) : 0;
    for (std::int64_t b = 0; b < shape.batch; ++b) {
        const auto count = [&](bool varies, std::int64_t fewest, std::int64_t most) {
            return static_cast<std::int32_t>(varies && !random_.chance(0.2) ? random_.between(fewest, most) : most);
        };
        query_counts_.push_back(count(some_queries, 0, shape.query_length));
        key_counts_.push_back(count(some_keys, fewest_keys, shape.key_length));
    }
    if (ragged_) {
        query_sums_.push_back(0);
        key_sums_.push_back(0);
        for (std::size_t b = 0; b < query_counts_.size(); ++b) {
            query_sums_.push_back(query_sums_.back() + query_counts_[b]);
            key_sums_.push_back(key_sums_.back() + key_counts_[b]);
        }
        arguments.cumulative_query_lengths = std::span<const std::int32_t>(query_sums_);
        if (!paged_) arguments.cumulative_key_lengths = std::span<const std::int64_t>(key_sums_);
    } else if (some_queries) {
        arguments.query_lengths = query_counts_;
    }
    if (paged_ || (!ragged_ && some_keys)) arguments.key_lengths = key_counts_;
}

std::int64_t RandomAttention::most_queries() const {
    return ragged_ ? *std::ranges::max_element(query_counts_) : shape.query_length;
}

std::int64_t RandomAttention::most_keys() const {
    return ragged_ || paged_ ? *std::ranges::max_element(key_counts_) : shape.key_length;
}

TensorView<float, 4> RandomAttention::make_tensor(std::vector<float>& memory, const std::array<std::int64_t, 4>& extents) {
    std::array<std::size_t, 3> order{0, 1, 2};
    std::swap(order[2], order[static_cast<std::size_t>(random_.between(0, 2))]);
    TensorView<float, 4> view(nullptr, extents);
    std::int64_t step = extents[3] + (random_.chance(0.3) ? random_.between(0, 5) : 0);
    view.stride[3] = 1;
    for (const std::size_t axis : order) {
        view.stride[axis] = step;
        step *= extents[axis];
        if (random_.chance(0.2)) step += random_.between(0, 20);
    }
    const bool empty = std::ranges::find(extents, 0) != extents.end();
    std::int64_t size = empty ? 0 : 1;
    for (std::size_t i = 0; i < 4 && !empty; ++i) size += (extents[i] - 1) * view.stride[i];
    memory.assign(static_cast<std::size_t>(size), kNan);
    view.data = memory.data();
    return view;
}

void RandomAttention::allocate_tensors() {
    const std::int64_t batch = ragged_ ? 1 : shape.batch, queries = ragged_ ? query_sums_.back() : shape.query_length;
    std::int64_t key_batch = batch, keys = ragged_ ? key_sums_.back() : shape.key_length;
    if (paged_) {
        page_size_ = random_.one_of({1, 2, 7, 16, 16, 64, 300});
        pages_ = random_.between(0, 3);
        for (const std::int32_t count : key_counts_) pages_ += units(count, page_size_);
        key_batch = pages_;
        keys = page_size_;
    }
    arguments.query = make_tensor(query_, {batch, shape.num_heads, queries, shape.head_dim});
    const bool repeated = shares_ && !paged_;
    arguments.key = make_tensor(key_, {repeated ? 1 : key_batch, shape.num_kv_heads, keys, shape.head_dim});
    arguments.value = make_tensor(value_, {repeated ? 1 : key_batch, shape.num_kv_heads, keys, shape.value_dim});
    for (TensorView<const float, 4>* view : {&arguments.key, &arguments.value})
        if (repeated) view->extent[0] = key_batch, view->stride[0] = 0;
    arguments.out = make_tensor(out_, {batch, shape.num_heads, queries, shape.value_dim});
    if (!random_.chance(0.5)) return;
    log_sum_exp_.assign(static_cast<std::size_t>(batch * shape.num_heads * queries), kNan);
    arguments.log_sum_exp = {log_sum_exp_.data(), {batch, shape.num_heads, queries}};
    if (random_.chance(0.5)) arguments.log_sum_exp.stride = {shape.num_heads * queries, 1, shape.num_heads};
}

/// As many as all sequences have, or fewer; in pages, whole ones.
void RandomAttention::draw_shared_keys() {
    const std::int64_t unit = paged_ ? page_size_ : 1, most = *std::ranges::min_element(key_counts_) / unit;
    arguments.shared_keys = unit * (random_.chance(0.5) ? most : random_.between(0, most));
    options.shared_prefix = true;
}

/// Every page is used once, in any order, but for those of shared keys.
void RandomAttention::draw_pages() {
    const std::int64_t most = units(std::max<std::int64_t>(most_keys(), 1), page_size_) + random_.between(0, 2);
    std::vector<std::int32_t> free(static_cast<std::size_t>(pages_));
    std::iota(free.begin(), free.end(), 0);
    page_table_.assign(static_cast<std::size_t>(shape.batch * most), -1);  // what lies beyond a sequence is not looked at
    for (std::int64_t b = 0; b < shape.batch; ++b)
        for (std::int64_t i = 0; i < units(key_counts_[static_cast<std::size_t>(b)], page_size_); ++i) {
            std::int32_t& page = page_table_[static_cast<std::size_t>(b * most + i)];
            if (b > 0 && i * page_size_ < arguments.shared_keys) {
                page = page_table_[static_cast<std::size_t>(i)];
                continue;
            }
            std::swap(free.back(), free[static_cast<std::size_t>(random_.between(0, std::ssize(free) - 1))]);
            page = free.back();
            free.pop_back();
        }
    arguments.page_table = {page_table_.data(), {shape.batch, most}};
}

std::array<std::int64_t, 4> RandomAttention::pair_extents() {
    return {random_.chance(0.5) ? 1 : shape.batch, random_.chance(0.5) ? 1 : shape.num_heads,
            random_.chance(0.3) ? 1 : most_queries(), most_keys()};
}

void RandomAttention::draw_logit_rules() {
    const auto per_head = [&](std::vector<float>& values) {
        values.resize(static_cast<std::size_t>(shape.num_heads));
        return std::span<const float>(values);
    };
    if (chance()) arguments.scales = per_head(scales_);
    if (chance()) arguments.alibi_slopes = per_head(slopes_);
    if (chance()) arguments.sinks = per_head(sinks_);
    if (chance()) arguments.score_function = score_function(kSampleFunction);
    if (!chance()) return;
    hidden_bias_ = random_.one_of({0.0, 0.3});
    arguments.bias = make_tensor(bias_, pair_extents());
}

void RandomAttention::draw_masks() {
    const double shown = random_.one_of({0.0, 0.01, 0.05, 0.1, 0.5, 0.9, 0.99});
    const auto bytes = [&](std::vector<std::uint8_t>& memory, const std::array<std::int64_t, 4>& extents, auto byte) {
        memory.resize(static_cast<std::size_t>(extents[0] * extents[1] * extents[2] * extents[3]));
        for (std::uint8_t& x : memory) x = byte();
        return TensorView<const std::uint8_t, 4>(memory.data(), extents);
    };
    const auto flag = [&] { return static_cast<std::uint8_t>(random_.chance(shown) ? random_.one_of({1, 1, 2, 128, 255}) : 0); };
    if (chance()) arguments.mask = bytes(mask_, pair_extents(), flag);
    if (chance()) {
        std::array<std::int64_t, 4> extents = pair_extents();
        extents[3] = units(extents[3], 8);
        arguments.mask_bits = bytes(mask_bits_, extents, [&] {
            unsigned bits = 0;
            for (unsigned i = 0; i < 8; ++i) bits |= (random_.chance(shown) ? 1u : 0u) << i;
            return static_cast<std::uint8_t>(bits);
        });
    }
    if (chance()) {
        BlockMask& mask = arguments.block_mask;
        mask.query_block = random_.one_of({1, 5, 16, 64});
        mask.key_block = random_.one_of({1, 3, 16, 32, 64, 100});
        std::array<std::int64_t, 4> extents = pair_extents();
        if (extents[2] != 1) extents[2] = units(extents[2], mask.query_block);
        extents[3] = units(extents[3], mask.key_block);
        mask.visible = bytes(blocks_, extents, flag);
    }
    if (!chance()) return;
    for (const std::int32_t count : key_counts_) prefixes_.push_back(static_cast<std::int32_t>(random_.between(0, count + 3)));
    arguments.prefix_lengths = prefixes_;
}

void RandomAttention::draw_tree() {
    for (std::size_t b = 0; b < query_counts_.size(); ++b)
        if (query_counts_[b] > key_counts_[b]) return;  // the nodes are keys, too
    const std::int64_t rows = random_.chance(0.5) ? 1 : shape.batch, queries = most_queries();
    for (std::int64_t b = 0; b < rows; ++b)
        for (std::int64_t i = 0; i < queries; ++i)
            parents_.push_back(static_cast<std::int32_t>(random_.between(std::max<std::int64_t>(-1, i - 6), i - 1)));
    arguments.tree_parents = {parents_.data(), {rows, queries}};
}

void RandomAttention::draw_rope() {
    if (shape.head_dim < 2) return;
    const std::int64_t pairs = shape.head_dim / 2;
    RopeOptions rope{.dims = 2 * (random_.chance(0.5) ? pairs : random_.between(1, pairs)),
                     .base = random_.one_of({10000.0, 500000.0, 100.0}),
                     .pairs = random_.chance(0.5) ? RopePairs::interleaved : RopePairs::half_split};
    const std::int64_t angles =
        std::max({shape.query_length, shape.key_length, random_.one_of({std::int64_t{300}, std::int64_t{2000}})});
    rope_ = std::make_unique<RopeTable>(rope, angles);
    options.rope = rope_.get();
    const auto positions = [&](std::vector<std::int32_t>& memory, std::int64_t batch, std::int64_t tokens) {
        const std::int64_t rows = random_.chance(0.5) ? 1 : batch;
        for (std::int64_t i = 0; i < rows * tokens; ++i)
            memory.push_back(static_cast<std::int32_t>(random_.between(1 - angles, angles - 1)));
        return TensorView<const std::int32_t, 2>(memory.data(), {rows, tokens});
    };
    if (random_.chance(0.3))
        arguments.query_positions = positions(query_positions_, arguments.query.extent[0], arguments.query.extent[2]);
    if (random_.chance(0.3))
        arguments.key_positions = positions(key_positions_, shares_ ? 1 : (paged_ ? shape.batch : arguments.key.extent[0]),
                                            paged_ ? most_keys() : arguments.key.extent[2]);
}

/// From a stream of its own, so that everything else about the call is the same with and without.
void RandomAttention::draw_first_positions(std::uint64_t seed, FirstPositions which) {
    RandomNumbers random(~seed);
    if (which == FirstPositions::none || (which == FirstPositions::sometimes && !random.chance(0.15))) return;
    const bool keys_move = random.chance(0.7), queries_move = random.chance(0.7);
    // As far as the table of angles goes; queries in the neighbourhood of where they are aligned.
    const std::int64_t most = options.rope ? options.rope->positions() : 3000;
    const auto within = [&](std::int64_t first, std::int64_t count) {
        return std::clamp(first, 1 - most, most - std::max<std::int64_t>(count, 1));
    };
    const std::int64_t common = random.between(-most, most);
    for (std::size_t b = 0; b < query_counts_.size(); ++b) {
        const std::int64_t queries = query_counts_[b], keys = key_counts_[b];
        const std::int64_t first_key =
            keys_move ? within(shares_ ? common : random.between(-most, most), shares_ ? shape.key_length : keys) : 0;
        first_key_positions_.push_back(first_key);
        first_query_positions_.push_back(within(first_key + keys - queries + random.between(-queries - 5, keys + 5), queries));
    }
    if (keys_move) arguments.first_key_positions = first_key_positions_;
    // Where keys move, queries aligned with them may leave the table.
    if (queries_move || options.rope) arguments.first_query_positions = first_query_positions_;
}

void RandomAttention::fill_values(std::uint64_t seed) {
    RandomNumbers random(seed);
    const auto fill = [&](const TensorView<const float, 4>& view, float deviation) {
        float* data = const_cast<float*>(view.data);
        for (std::int64_t b = 0; b < view.extent[0]; ++b)
            for (std::int64_t h = 0; h < view.extent[1]; ++h)
                for (std::int64_t i = 0; i < view.extent[2]; ++i)
                    for (std::int64_t d = 0; d < view.extent[3]; ++d)
                        data[b * view.stride[0] + h * view.stride[1] + i * view.stride[2] + d] = deviation * random.normal();
    };
    fill(arguments.query, deviation_);
    fill(arguments.key, 1);
    fill(arguments.value, 1);
    for (float& x : scales_) x = random_scale(random);
    for (float& x : slopes_) x = 0.3f * random.normal();
    for (float& x : sinks_) x = random.chance(0.1) ? -kInfinity : 3 * random.normal();
    for (float& x : bias_) x = random.chance(hidden_bias_) ? -kInfinity : random.normal();
}

/// Garbage where nobody may look: keys beyond a sequence's length, pages and slots of nobody.
void RandomAttention::spoil_unused() {
    const float garbage[] = {kNan, kInfinity, -kInfinity, 1e30f};
    const auto spoil = [&](const TensorView<const float, 4>& view, std::int64_t b, std::int64_t from) {
        float* data = const_cast<float*>(view.data);
        for (std::int64_t h = 0; h < view.extent[1]; ++h)
            for (std::int64_t i = from; i < view.extent[2]; ++i) {
                const float x = random_.one_of(garbage);
                std::fill_n(data + b * view.stride[0] + h * view.stride[1] + i * view.stride[2], view.extent[3], x);
            }
    };
    const auto spoil_both = [&](std::int64_t b, std::int64_t from) {
        spoil(arguments.key, b, from);
        spoil(arguments.value, b, from);
    };
    if (paged_) {
        std::vector<std::int64_t> used(static_cast<std::size_t>(pages_), 0);
        for (std::int64_t b = 0; b < shape.batch; ++b)
            for (std::int64_t i = 0, left = key_counts_[static_cast<std::size_t>(b)]; left > 0; ++i, left -= page_size_) {
                const auto page = arguments.page_table.data[b * arguments.page_table.stride[0] + i];
                used[static_cast<std::size_t>(page)] = std::min(left, page_size_);
            }
        for (std::int64_t page = 0; page < pages_; ++page) spoil_both(page, used[static_cast<std::size_t>(page)]);
    } else if (!ragged_) {
        const std::int32_t most = *std::ranges::max_element(key_counts_);
        for (std::int64_t b = 0; b < shape.batch; ++b) spoil_both(b, shares_ ? most : key_counts_[static_cast<std::size_t>(b)]);
    }
}

void RandomAttention::clear_results() {
    std::ranges::fill(out_, kNan);
    std::ranges::fill(log_sum_exp_, kNan);
}

std::string RandomAttention::text() const {
    const AttentionShape& s = shape;
    const AttentionArguments& a = arguments;
    constexpr const char* kCausal[] = {"none", "top-left", "bottom-right"};
    std::string text =
        fmt::format("b={},hq={},hkv={},sq={},skv={},d={},dv={},causal={}", s.batch, s.num_heads, s.num_kv_heads, s.query_length,
                    s.key_length, s.head_dim, s.value_dim, kCausal[static_cast<int>(options.causal)]);
    const auto add = [&](bool is_used, const std::string& what) {
        if (is_used) text += "," + what;
    };
    add(options.causal == Causal::none && options.alignment == Alignment::top_left, "alignment=top-left");
    add(options.window.left >= 0 || options.window.right >= 0,
        fmt::format("window={}:{}", options.window.left, options.window.right));
    add(options.scale.has_value(), fmt::format("scale={}", options.scale.value_or(0)));
    add(options.softcap != 0, fmt::format("softcap={}", options.softcap));
    add(ragged_, "ragged");
    add(paged_, fmt::format("page={}", page_size_));
    add(options.shared_prefix, fmt::format("shared={}", a.shared_keys));
    add(!a.query_lengths.empty() || ragged_, fmt::format("queries={}", fmt::join(query_counts_, ":")));
    add(!a.key_lengths.empty() || ragged_, fmt::format("keys={}", fmt::join(key_counts_, ":")));
    add(!a.first_query_positions.empty(), fmt::format("first_queries={}", fmt::join(a.first_query_positions, ":")));
    add(!a.first_key_positions.empty(), fmt::format("first_keys={}", fmt::join(a.first_key_positions, ":")));
    add(!prefixes_.empty(), fmt::format("prefix={}", fmt::join(prefixes_, ":")));
    const auto pairs = [&](const auto& view, const char* name) {
        add(view.data != nullptr, fmt::format("{}={}", name, fmt::join(view.extent, "x")));
    };
    pairs(a.bias, "bias");
    pairs(a.mask, "mask");
    pairs(a.mask_bits, "bits");
    pairs(a.block_mask.visible, "blocks");
    pairs(a.tree_parents, "tree");
    pairs(a.query_positions, "query_positions");
    pairs(a.key_positions, "key_positions");
    pairs(a.log_sum_exp, "lse");
    add(!a.scales.empty(), "scales");
    add(!a.alibi_slopes.empty(), "alibi");
    add(!a.sinks.empty(), "sinks");
    add(a.score_function.apply != nullptr, "function");
    add(options.rope != nullptr, options.rope ? fmt::format("rope={}{}", options.rope->options().dims,
                                                            options.rope->options().pairs == RopePairs::interleaved ? "i" : "h")
                                              : "");
    return text;
}

}  // namespace headwise::tools
