#include "files/attention_tensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "headwise/attention.hpp"
#include "text/usage_error.hpp"

namespace headwise::tools {
namespace {

template <class T>
TensorView<T, 4> view(T* data, Layout layout, const Extents& e) {
    return layout == Layout::bhsd ? bhsd(data, e[0], e[1], e[2], e[3]) : bshd(data, e[0], e[2], e[1], e[3]);
}

std::int64_t size_of(const Extents& e) {
    return e[0] * e[1] * e[2] * e[3];
}

/// What the library takes for granted about views that it is given.
void check_extents(const AttentionFile& file, const Extents& q, const Extents& k, const Extents& v) {
    const auto both = [&](std::string_view a, const Extents& x, std::string_view b, const Extents& y) {
        return fmt::format("{} is ({}), {} is ({})", a, extents_text(x), b, extents_text(y));
    };
    if (file.contains("page_table")) {
        file.expect(k[0] == v[0], fmt::format("the pages of k and v differ: {}, {}", k[0], v[0]));
    } else {
        file.expect((file.contains("cu_seqlens_k") || q[0] == k[0]) && k[0] == v[0],
                    fmt::format("the batches of q, k and v differ: {}, {}, {}", q[0], k[0], v[0]));
    }
    file.expect(k[1] == v[1], both("k", k, "v", v) + ": the heads must agree");
    file.expect(k[2] == v[2], both("k", k, "v", v) + ": the lengths must agree");
    file.expect(q[3] == k[3], both("q", q, "k", k) + ": the dims must agree");
    file.expect(q[1] > 0 && k[1] > 0 && q[1] % k[1] == 0,
                both("q", q, "k", k) + ": the heads of q must be a multiple of those of k");
    for (const auto& [name, dim] : {std::pair("q", q[3]), std::pair("v", v[3])}) {
        file.expect(dim >= 1 && dim <= kMaxHeadDim,
                    fmt::format("tensor '{}' has dim {}: expected 1 to {}", name, dim, kMaxHeadDim));
    }
    // Empty tensors may have any other dimensions in a file: keep the products of dimensions within 63 bits.
    const double size = static_cast<double>(std::max(q[0], std::int64_t{1})) * static_cast<double>(q[1]) *
                        static_cast<double>(std::max(q[2], std::int64_t{1})) * static_cast<double>(std::max(q[3], v[3]));
    file.expect(size < 0x1p60, fmt::format("q is ({}), v is ({}): too large", extents_text(q), extents_text(v)));
}

/// Sizes and extents, by the header and the rules.
AttentionTensors checked_sizes(const AttentionFile& file, const AttentionFileOptions& options, const AttentionRules& rules) {
    AttentionTensors result;
    const Extents q = result.query_extents = file.extents("q"), k = result.key_extents = file.extents("k"),
                  v = result.value_extents = file.extents("v");
    check_extents(file, q, k, v);
    const SequenceSizes sequences = checked_sequences(file, rules, q, k);
    result.sizes = {.shape = {.batch = sequences.count,
                              .num_heads = q[1],
                              .num_kv_heads = k[1],
                              .query_length = sequences.most_queries,
                              .key_length = sequences.most_keys,
                              .head_dim = q[3],
                              .value_dim = v[3]},
                    .causal = options.causal,
                    .scale = options.scale,
                    .layout = options.layout};
    return result;
}

}  // namespace

TensorView<const float, 4> AttentionTensors::query() const {
    return view<const float>(query_data.data(), sizes.layout, query_extents);
}

TensorView<const float, 4> AttentionTensors::key() const {
    return view<const float>(key_data.data(), sizes.layout, key_extents);
}

TensorView<const float, 4> AttentionTensors::value() const {
    return view<const float>(value_data.data(), sizes.layout, value_extents);
}

TensorView<float, 4> AttentionTensors::out() const {
    return view(out_data.data(), sizes.layout, out_view_extents());
}

AttentionArguments AttentionTensors::with_tensors(AttentionArguments arguments) const {
    arguments.query = query();
    arguments.key = key();
    arguments.value = value();
    arguments.out = out();
    return arguments;
}

TensorView<const float, 4> AttentionTensors::expected() const {
    const Extents e = out_view_extents();
    return view<const float>(expected_data.data(), sizes.layout, {e[0], e[1], std::ssize(expected_rows), e[3]});
}

Extents AttentionTensors::out_view_extents() const {
    return {query_extents[0], query_extents[1], query_extents[2], value_extents[3]};
}

std::vector<std::int64_t> AttentionTensors::out_extents() const {
    const Extents e = out_view_extents();
    if (sizes.layout == Layout::bhsd) return {e[0], e[1], e[2], e[3]};
    return {e[0], e[2], e[1], e[3]};
}

AttentionTensors random_attention_tensors(const AttentionCase& sizes) {
    const AttentionShape& s = sizes.shape;
    AttentionTensors result;
    result.sizes = sizes;
    result.query_extents = {s.batch, s.num_heads, s.query_length, s.head_dim};
    result.key_extents = {s.batch, s.num_kv_heads, s.key_length, s.head_dim};
    result.value_extents = {s.batch, s.num_kv_heads, s.key_length, s.value_dim};
    result.query_data = FloatBuffer(size_of(result.query_extents));
    result.key_data = FloatBuffer(size_of(result.key_extents));
    result.value_data = FloatBuffer(size_of(result.value_extents));
    result.out_data = FloatBuffer(size_of(result.out_view_extents()));
    fill_random(result.query_data.span(), 1);
    fill_random(result.key_data.span(), 2);
    fill_random(result.value_data.span(), 3);
    return result;
}

double attention_tensor_bytes(const AttentionFile& file) {
    const Extents q = file.extents("q"), v = file.extents("v");
    check_extents(file, q, file.extents("k"), v);
    const double rows = static_cast<double>(q[0]) * static_cast<double>(q[1]) * static_cast<double>(q[2]);
    return file.bytes("q") + file.bytes("k") + file.bytes("v") + sizeof(float) * rows * static_cast<double>(v[3]);
}

AttentionCase plain_attention_case(const AttentionFile& file, const AttentionFileOptions& options) {
    refuse_attention_rules(file);
    return checked_sizes(file, options, {}).sizes;
}

double expected_bytes(const AttentionFile& file, const AttentionShape& s) {
    if (!file.contains("expected")) return 0;
    const double all_rows = sizeof(std::int32_t) * static_cast<double>(s.query_length);
    return file.bytes("expected") + (file.contains("expected_rows") ? file.bytes("expected_rows") : all_rows);
}

std::vector<std::int32_t> checked_expected_rows(const AttentionFile& file, const AttentionShape& s) {
    if (!file.contains("expected")) return {};
    std::vector<std::int32_t> rows;
    if (file.contains("expected_rows")) {
        rows = file.read_integers("expected_rows");
        const bool ascending = std::ranges::is_sorted(rows, std::less_equal<>());
        file.expect(rows.empty() || (ascending && rows.front() >= 0 && rows.back() < s.query_length),
                    fmt::format("tensor 'expected_rows': expected ascending numbers from 0 to {}", s.query_length - 1));
    } else {
        rows.resize(static_cast<std::size_t>(s.query_length));
        std::iota(rows.begin(), rows.end(), 0);
    }
    const Extents wanted{s.batch, s.num_heads, std::ssize(rows), s.value_dim}, found = file.extents("expected");
    file.expect(found == wanted,
                fmt::format("tensor 'expected' is ({}): expected ({})", extents_text(found), extents_text(wanted)));
    return rows;
}

AttentionTensors read_attention_tensors(const AttentionFile& file, const AttentionFileOptions& options,
                                        const AttentionRules& rules) {
    AttentionTensors result = checked_sizes(file, options, rules);
    result.query_data = file.read("q");
    result.key_data = file.read("k");
    result.value_data = file.read("v");
    result.out_data = FloatBuffer(size_of(result.out_view_extents()));
    return result;
}

AttentionTensors read_attention_tensors_with_expected(const std::string& path, const AttentionFileOptions& options) {
    const AttentionFile file(path, options.layout);
    refuse_attention_rules(file);
    AttentionTensors result = read_attention_tensors(file, options, {});
    result.expected_rows = checked_expected_rows(file, result.sizes.shape);
    if (file.contains("expected")) result.expected_data = file.read("expected");
    return result;
}

}  // namespace headwise::tools
