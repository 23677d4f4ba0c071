#include "tests/attention/variant_call.hpp"

#include <algorithm>

#include "tests/support/random_numbers.hpp"

namespace headwise::test {
namespace {

constexpr std::int64_t kPositions = 5000;
constexpr std::int64_t kBlockQueries = 5, kBlockKeys = 7;

enum What : std::uint64_t { kQuery, kKey, kValue, kBias, kHides, kMask, kBits, kBlocks, kParent, kQueryPosition, kKeyPosition };

/// Random bits of an element of a sequence.
std::uint64_t bits_at(const SequenceSizes& sequence, What what, std::int64_t x, std::int64_t y, std::int64_t z) {
    std::uint64_t seed = sequence.seed;
    for (const std::uint64_t part : {std::uint64_t{what}, static_cast<std::uint64_t>(x), static_cast<std::uint64_t>(y)})
        seed = RandomNumbers(seed * 31 + part).bits();
    return RandomNumbers(seed + static_cast<std::uint64_t>(z)).bits();
}

float number_at(const SequenceSizes& sequence, What what, std::int64_t x, std::int64_t y, std::int64_t z) {
    return RandomNumbers(bits_at(sequence, what, x, y, z)).normal();
}

std::int64_t below(std::uint64_t bits, std::int64_t n) {
    return static_cast<std::int64_t>(bits % static_cast<std::uint64_t>(n));
}

std::int64_t units(std::int64_t length, std::int64_t unit) {
    return (length + unit - 1) / unit;
}

/// Depends on all that does not change from batch to batch, and hides some pairs.
struct SampleFunction {
    static constexpr bool hides(std::int64_t q, std::int64_t k) { return (q * 7 + k * 3) % 11 == 0; }
    template <class T>
    T operator()(T score, std::int64_t, std::int64_t h, std::int64_t q, std::int64_t k) const {
        if (hides(q, k)) return -std::numeric_limits<T>::infinity();
        return score * static_cast<T>(0.75) + static_cast<T>((h + k) % 4) * static_cast<T>(0.25);
    }
};
constexpr SampleFunction kSampleFunction;

const RopeTable& rope_table() {
    static const RopeTable table({.dims = 4, .base = 1000}, kPositions);
    return table;
}

/// [batch, heads, length, dim] as sequences are packed: [length, heads, dim] where they lie one behind the other.
TensorView<float, 4> view_of(float* data, bool packed, const std::array<std::int64_t, 4>& extent) {
    return packed ? bshd(data, extent[0], extent[2], extent[1], extent[3]) : TensorView<float, 4>(data, extent);
}

std::int64_t product(const std::array<std::int64_t, 4>& extent) {
    return extent[0] * extent[1] * extent[2] * extent[3];
}

}  // namespace

const std::vector<Variants>& all_variants() {
    constexpr Causal kTopLeft = Causal::top_left, kBottomRight = Causal::bottom_right;
    static const std::vector<Variants> variants = {
        {.name = "plain"},
        {.name = "causal top-left", .options = {.causal = kTopLeft}},
        {.name = "causal bottom-right", .options = {.causal = kBottomRight}},
        {.name = "window", .options = {.window = {.left = 40, .right = 3}}},
        {.name = "top-left window", .options = {.alignment = Alignment::top_left, .window = {.left = 5, .right = 60}}},
        {.name = "causal window", .options = {.causal = kBottomRight, .window = {.left = 30}}},
        {.name = "softcap", .options = {.softcap = 1.5f}},
        {.name = "scales", .scales = true},
        {.name = "ALiBi", .options = {.causal = kBottomRight}, .alibi = true},
        {.name = "bias", .bias = true},
        {.name = "function", .function = true},
        {.name = "sinks", .sinks = true},
        {.name = "mask", .mask = true},
        {.name = "causal and mask", .options = {.causal = kBottomRight}, .mask = true},
        {.name = "mask of bits", .bits = true},
        {.name = "block mask", .blocks = true},
        {.name = "prefix", .options = {.causal = kBottomRight}, .prefix = true},
        {.name = "tree", .tree = true},
        {.name = "RoPE", .options = {.causal = kBottomRight}, .rope = true},
        {.name = "RoPE at given positions", .rope = true, .positions = true},
        {.name = "everything",
         .options = {.causal = kBottomRight, .window = {.left = 2000}, .softcap = 3},
         .scales = true,
         .alibi = true,
         .bias = true,
         .function = true,
         .sinks = true,
         .mask = true,
         .bits = true,
         .blocks = true,
         .prefix = true,
         .tree = true,
         .rope = true,
         .positions = true},
    };
    return variants;
}

VariantCall::VariantCall(const Variants& v, const std::vector<SequenceSizes>& s, const Placing& p, const HeadSizes& heads)
    : options(v.options), sequences(s), variants(v), placing(p) {
    shape = {.batch = static_cast<std::int64_t>(s.size()),
             .num_heads = heads.num_heads,
             .num_kv_heads = heads.num_kv_heads,
             .head_dim = heads.head_dim,
             .value_dim = heads.value_dim};
    for (const SequenceSizes& sequence : s) {
        shape.query_length = std::max(shape.query_length, sequence.queries);
        shape.key_length = std::max(shape.key_length, sequence.keys);
    }
    if (p.packing == Packing::padded) {
        shape.query_length += p.spare;
        shape.key_length += p.spare;
    }
    if (shares_keys()) {
        options.shared_prefix = true;
        arguments.shared_keys = p.shared_keys;
    }
    place_lengths();
    place_tensors();
    fill_tokens();
    fill_heads();
    fill_pairs();
    fill_tree_and_positions();
}

void VariantCall::place_lengths() {
    if (placing.packing == Packing::dense) return;
    const std::int64_t batch = shape.batch;
    query_lengths_ = integers(batch, 0);
    key_lengths_ = integers(batch, 0);
    query_sums_ = integers(batch + 1, 0);
    key_sums_ = {batch + 1, 0, placing.guard};
    for (std::int64_t b = 0; b < batch; ++b) {
        const SequenceSizes& sequence = sequences[static_cast<std::size_t>(b)];
        query_lengths_[b] = static_cast<std::int32_t>(sequence.queries);
        key_lengths_[b] = static_cast<std::int32_t>(sequence.keys);
        query_sums_[b + 1] = query_sums_[b] + query_lengths_[b];
        key_sums_[b + 1] = key_sums_[b] + key_lengths_[b];
    }
    if (is_ragged(placing.packing))
        arguments.cumulative_query_lengths = std::span<const std::int32_t>(query_sums_.all());
    else
        arguments.query_lengths = query_lengths_.all();
    if (placing.packing == Packing::ragged)
        arguments.cumulative_key_lengths = std::span<const std::int64_t>(key_sums_.all());
    else
        arguments.key_lengths = key_lengths_.all();
    if (is_paged(placing.packing)) place_pages();
}

/// Pages in turn of all sequences, the last first; two of nobody at either end.
void VariantCall::place_pages() {
    const std::int64_t most = std::max<std::int64_t>(units(shape.key_length, placing.page_size), 1);
    page_table_ = integers(shape.batch * most, std::numeric_limits<std::int32_t>::min());
    arguments.page_table = {page_table_.data(), {shape.batch, most}};
    std::int32_t next = 2;
    for (std::int64_t i = most; i-- > 0;)
        for (std::int64_t b = 0; b < shape.batch; ++b) {
            if (i >= units(key_lengths_[b], placing.page_size)) continue;
            const bool repeated = b > 0 && i * placing.page_size < placing.shared_keys;
            page_table_[b * most + i] = repeated ? page_table_[i] : next++;
        }
    arguments.key.extent[0] = next + 2;
}

void VariantCall::place_tensors() {
    const bool ragged = is_ragged(placing.packing), paged = is_paged(placing.packing);
    const std::int64_t batch = ragged ? 1 : shape.batch, queries = ragged ? query_sums_[shape.batch] : shape.query_length;
    const std::int64_t key_batch = paged ? arguments.key.extent[0] : batch;
    const std::int64_t keys = paged ? placing.page_size : ragged ? key_sums_[shape.batch] : shape.key_length;
    const auto place = [&](GuardedArray<float>& memory, const std::array<std::int64_t, 4>& extent) {
        memory = floats(product(extent));
        return view_of(memory.data(), ragged, extent);
    };
    arguments.query = place(query_, {batch, shape.num_heads, queries, shape.head_dim});
    const bool repeated = shares_keys() && !paged;
    const std::int64_t key_batches = repeated ? 1 : key_batch;
    arguments.key = place(key_, {key_batches, shape.num_kv_heads, keys, shape.head_dim});
    arguments.value = place(value_, {key_batches, shape.num_kv_heads, keys, shape.value_dim});
    if (repeated)
        for (TensorView<const float, 4>* view : {&arguments.key, &arguments.value})
            view->extent[0] = key_batch, view->stride[0] = 0;
    arguments.out = place(out_, {batch, shape.num_heads, queries, shape.value_dim});
    log_sum_exp_ = floats(batch * shape.num_heads * queries);
    arguments.log_sum_exp = {log_sum_exp_.data(), {batch, shape.num_heads, queries}};
}

void VariantCall::fill_tokens() {
    const auto fill = [&](float* row, const SequenceSizes& owner, What what, std::int64_t h, std::int64_t i, std::int64_t dim) {
        for (std::int64_t d = 0; d < dim; ++d) row[d] = number_at(owner, what, h, i, d);
    };
    for (std::size_t b = 0; b < sequences.size(); ++b) {
        for (std::int64_t h = 0; h < shape.num_heads; ++h)
            for (std::int64_t i = 0; i < sequences[b].queries; ++i)
                fill(query(b, h, i), sequences[b], kQuery, h, i, shape.head_dim);
        for (std::int64_t h = 0; h < shape.num_kv_heads; ++h)
            for (std::int64_t j = 0; j < sequences[b].keys; ++j) {
                const SequenceSizes owner = owner_of_key(b, j);
                fill(key(b, h, j), owner, kKey, h, j, shape.head_dim);
                fill(value(b, h, j), owner, kValue, h, j, shape.value_dim);
            }
    }
}

SequenceSizes VariantCall::owner_of_key(std::size_t b, std::int64_t j) const {
    constexpr SequenceSizes kNobody{0, 0, 99};
    return shares_keys() && (j < placing.shared_keys || !is_paged(placing.packing)) ? kNobody : sequences[b];
}

void VariantCall::fill_heads() {
    if (variants.function) arguments.score_function = score_function(kSampleFunction);
    const auto fill = [&](bool is_used, GuardedArray<float>& memory, float first, float step) -> std::span<const float> {
        if (!is_used) return {};
        memory = floats(shape.num_heads);
        for (std::int64_t h = 0; h < shape.num_heads; ++h) memory[h] = first + step * static_cast<float>(h);
        return memory.all();
    };
    arguments.scales = fill(variants.scales, scales_, 0.2f, 0.03f);
    arguments.alibi_slopes = fill(variants.alibi, slopes_, 0.11f, -0.02f);
    arguments.sinks = fill(variants.sinks, sinks_, -1, 0.9f);
}

/// Bias and masks, of which the pairs beyond a sequence's lengths are filler and ones.
void VariantCall::fill_pairs() {
    const auto extent = [&](std::int64_t queries, std::int64_t keys) {
        return std::array<std::int64_t, 4>{shape.batch, shape.num_heads, queries, keys};
    };
    const auto place = [&](bool is_used, GuardedArray<std::uint8_t>& memory, const std::array<std::int64_t, 4>& extents) {
        if (!is_used) return TensorView<const std::uint8_t, 4>{};
        memory = {product(extents), 0xff, placing.guard};
        return TensorView<const std::uint8_t, 4>(memory.data(), extents);
    };
    const std::int64_t queries = shape.query_length, keys = shape.key_length;
    if (variants.bias) {
        bias_ = floats(product(extent(queries, keys)));
        arguments.bias = {bias_.data(), extent(queries, keys)};
    }
    arguments.mask = place(variants.mask, mask_, extent(queries, keys));
    arguments.mask_bits = place(variants.bits, bits_, extent(queries, units(keys, 8)));
    const std::array<std::int64_t, 4> blocks = extent(units(queries, kBlockQueries), units(keys, kBlockKeys));
    arguments.block_mask = {place(variants.blocks, blocks_, blocks), kBlockQueries, kBlockKeys};

    const auto hides = [&](std::size_t b, What what, std::int64_t h, std::int64_t i, std::int64_t j) {
        return bits_at(sequences[b], what, h, i, j) % 8 == 0;
    };
    for (std::size_t b = 0; b < sequences.size(); ++b)
        for (std::int64_t h = 0; h < shape.num_heads; ++h)
            for (std::int64_t i = 0; i < sequences[b].queries; ++i)
                for (std::int64_t j = 0; j < sequences[b].keys; ++j) {
                    const std::int64_t row = (static_cast<std::int64_t>(b) * shape.num_heads + h) * queries + i;
                    if (variants.bias)
                        bias(b, h, i, j) = hides(b, kHides, h, i, j) ? -kInfinity : number_at(sequences[b], kBias, h, i, j);
                    if (variants.mask) mask(b, h, i, j) = static_cast<std::uint8_t>(hides(b, kMask, h, i, j) ? 0 : 1 + j % 255);
                    if (variants.bits && hides(b, kBits, h, i, j))
                        bits_[row * units(keys, 8) + j / 8] &= static_cast<std::uint8_t>(~(1u << static_cast<unsigned>(j % 8)));
                    if (variants.blocks && hides(b, kBlocks, h, i / kBlockQueries, j / kBlockKeys))
                        blocks_[((static_cast<std::int64_t>(b) * shape.num_heads + h) * blocks[2] + i / kBlockQueries) * blocks[3] +
                                j / kBlockKeys] = 0;
                }
}

void VariantCall::fill_tree_and_positions() {
    const std::int64_t batch = shape.batch, queries = shape.query_length;
    const auto for_sequences = [&](auto function) {
        for (std::int64_t b = 0; b < batch; ++b) function(b, sequences[static_cast<std::size_t>(b)]);
    };
    if (variants.prefix) {
        prefixes_ = integers(batch, 0);
        for_sequences([&](std::int64_t b, const auto& s) { prefixes_[b] = static_cast<std::int32_t>(s.keys / 3); });
        arguments.prefix_lengths = prefixes_.all();
    }
    if (variants.tree) {
        parents_ = integers(batch * queries, -1);
        for_sequences([&](std::int64_t b, const auto& s) {
            for (std::int64_t i = 0; i < s.queries; ++i)
                parents_[b * queries + i] = static_cast<std::int32_t>(
                    i == 0 ? -1 : std::max<std::int64_t>(-1, i - 1 - below(bits_at(s, kParent, i, 0, 0), 5)));
        });
        arguments.tree_parents = {parents_.data(), {batch, queries}};
    }
    if (variants.rope) options.rope = &rope_table();
    if (!variants.positions) return;
    const std::int64_t query_batch = arguments.query.extent[0], query_tokens = arguments.query.extent[2];
    const std::int64_t key_batch = shares_keys() ? 1 : is_paged(placing.packing) ? batch : arguments.key.extent[0];
    const std::int64_t key_tokens = is_paged(placing.packing) ? shape.key_length : arguments.key.extent[2];
    query_positions_ = integers(query_batch * query_tokens, 0);
    key_positions_ = integers(key_batch * key_tokens, 0);
    const auto position = [](std::uint64_t bits) {
        return static_cast<std::int32_t>(below(bits, 2 * kPositions - 1) - kPositions + 1);
    };
    for_sequences([&](std::int64_t b, const auto& s) {
        const bool ragged = is_ragged(placing.packing), packed_keys = placing.packing == Packing::ragged;
        for (std::int64_t i = 0; i < s.queries; ++i)
            query_positions_[(ragged ? query_sums_[b] : b * query_tokens) + i] = position(bits_at(s, kQueryPosition, i, 0, 0));
        for (std::int64_t j = 0; j < s.keys; ++j)
            key_positions_[(packed_keys ? key_sums_[b] : (key_batch == 1 ? 0 : b) * key_tokens) + j] =
                position(bits_at(shares_keys() ? SequenceSizes{0, 0, 99} : s, kKeyPosition, j, 0, 0));
    });
    arguments.query_positions = {query_positions_.data(), {query_batch, query_tokens}};
    arguments.key_positions = {key_positions_.data(), {key_batch, key_tokens}};
}

void VariantCall::run() const {
    const AttentionPlan plan(shape, options);
    const GuardedMemory workspace(plan.workspace_bytes(), Guard::above);
    plan.run(arguments, {workspace.data(), workspace.size()});
}

std::string VariantCall::text() const {
    constexpr const char* kPackings[] = {"dense", "padded", "ragged", "paged", "ragged and paged"};
    std::string text = std::string(variants.name) + ", " + kPackings[static_cast<int>(placing.packing)];
    if (is_paged(placing.packing)) text += ", page size " + std::to_string(placing.page_size);
    if (shares_keys()) text += ", " + std::to_string(placing.shared_keys) + " shared keys";
    text += ", " + std::to_string(shape.num_heads) + " heads of " + std::to_string(shape.num_kv_heads) + ", queries x keys";
    for (const SequenceSizes& s : sequences) text += " " + std::to_string(s.queries) + "x" + std::to_string(s.keys);
    return text + ", HEADWISE_ISA=" + std::string(isa_name(active_isa()));
}

}  // namespace headwise::test
