#include "attention_tensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>

#include "usage_error.hpp"

namespace headwise::tools {
namespace {

template <class T>
TensorView<T, 4> view(T* data, Layout layout, std::int64_t batch, std::int64_t heads, std::int64_t length, std::int64_t dim) {
    return layout == Layout::bhsd ? bhsd(data, batch, heads, length, dim) : bshd(data, batch, length, heads, dim);
}

/// [batch, heads, length, dim] of a tensor in a file, whatever the order there.
using Extents = std::array<std::int64_t, 4>;

class AttentionFile {
  public:
    AttentionFile(const std::string& path, Layout layout) : file_(path), layout_(layout) {}

    bool contains(std::string_view name) const { return file_.header().find(name) != nullptr; }

    Extents extents(std::string_view name) const {
        const TensorEntry& tensor = entry(name);
        if (tensor.shape.size() != 4) {
            throw bad(fmt::format("tensor '{}' has the shape [{}]: expected 4 dimensions, [{}]", name,
                                  fmt::join(tensor.shape, ", "),
                                  layout_ == Layout::bhsd ? "batch, heads, length, dim" : "batch, length, heads, dim"));
        }
        Extents result{tensor.shape[0], tensor.shape[1], tensor.shape[2], tensor.shape[3]};
        if (layout_ == Layout::bshd) std::swap(result[1], result[2]);
        return result;
    }

    FloatBuffer read(std::string_view name) const {
        const TensorEntry& tensor = entry(name);
        FloatBuffer buffer(static_cast<std::int64_t>((tensor.end - tensor.begin) / sizeof(float)));
        file_.read(tensor, buffer.span());
        return buffer;
    }

    std::vector<std::int32_t> read_integers(std::string_view name) const {
        const TensorEntry& tensor = entry(name, "I32");
        std::vector<std::int32_t> result((tensor.end - tensor.begin) / sizeof(std::int32_t));
        file_.read(tensor, std::span(result));
        return result;
    }

    void expect(bool condition, const std::string& what) const {
        if (!condition) throw bad(what);
    }

  private:
    const TensorEntry& entry(std::string_view name, std::string_view dtype = "F32") const {
        const TensorEntry* result = file_.header().find(name);
        if (result == nullptr) {
            std::vector<std::string> names;
            for (const TensorEntry& tensor : file_.header().tensors) {
                if (names.size() < 8) names.push_back(tensor.name.substr(0, 32));
            }
            throw bad(fmt::format("no tensor '{}'; there are: {}", name,
                                  names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
        }
        if (result->dtype != dtype) {
            throw bad(fmt::format("tensor '{}' is {}; only {} is supported, convert it first", name, result->dtype, dtype));
        }
        return *result;
    }

    UsageError bad(const std::string& why) const { return UsageError(fmt::format("'{}': {}", file_.path(), why)); }

    SafetensorsFile file_;
    Layout layout_;
};

std::string text(const Extents& e) {
    return fmt::format("batch {}, heads {}, length {}, dim {}", e[0], e[1], e[2], e[3]);
}

AttentionShape checked_shape(const AttentionFile& file) {
    const Extents q = file.extents("q"), k = file.extents("k"), v = file.extents("v");
    const auto both = [&](std::string_view a, const Extents& x, std::string_view b, const Extents& y) {
        return fmt::format("{} is ({}), {} is ({})", a, text(x), b, text(y));
    };
    file.expect(q[0] == k[0] && k[0] == v[0], fmt::format("the batches of q, k and v differ: {}, {}, {}", q[0], k[0], v[0]));
    file.expect(k[1] == v[1], both("k", k, "v", v) + ": the heads must agree");
    file.expect(k[2] == v[2], both("k", k, "v", v) + ": the lengths must agree");
    file.expect(q[3] == k[3], both("q", q, "k", k) + ": the dims must agree");
    file.expect(q[1] > 0 && k[1] > 0 && q[1] % k[1] == 0,
                both("q", q, "k", k) + ": the heads of q must be a multiple of those of k");
    for (const auto& [name, dim] : {std::pair("q", q[3]), std::pair("v", v[3])}) {
        file.expect(dim >= 1 && dim <= 512, fmt::format("tensor '{}' has dim {}: expected 1 to 512", name, dim));
    }
    // Empty tensors may have any other dimensions in a file: keep the products of dimensions within 63 bits.
    const double size = static_cast<double>(std::max(q[0], std::int64_t{1})) * static_cast<double>(q[1]) *
                        static_cast<double>(std::max(q[2], std::int64_t{1})) * static_cast<double>(std::max(q[3], v[3]));
    file.expect(size < 0x1p60, fmt::format("q is ({}), v is ({}): too large", text(q), text(v)));
    return {.batch = q[0],
            .num_heads = q[1],
            .num_kv_heads = k[1],
            .query_length = q[2],
            .key_length = k[2],
            .head_dim = q[3],
            .value_dim = v[3]};
}

std::int64_t out_size(const AttentionShape& s) {
    return s.batch * s.num_heads * s.query_length * s.value_dim;
}

}  // namespace

TensorView<const float, 4> AttentionTensors::query() const {
    const AttentionShape& s = sizes.shape;
    return view<const float>(query_data.data(), sizes.layout, s.batch, s.num_heads, s.query_length, s.head_dim);
}

TensorView<const float, 4> AttentionTensors::key() const {
    const AttentionShape& s = sizes.shape;
    return view<const float>(key_data.data(), sizes.layout, s.batch, s.num_kv_heads, s.key_length, s.head_dim);
}

TensorView<const float, 4> AttentionTensors::value() const {
    const AttentionShape& s = sizes.shape;
    return view<const float>(value_data.data(), sizes.layout, s.batch, s.num_kv_heads, s.key_length, s.value_dim);
}

TensorView<float, 4> AttentionTensors::out() const {
    const AttentionShape& s = sizes.shape;
    return view(out_data.data(), sizes.layout, s.batch, s.num_heads, s.query_length, s.value_dim);
}

TensorView<const float, 4> AttentionTensors::expected() const {
    const AttentionShape& s = sizes.shape;
    return view<const float>(expected_data.data(), sizes.layout, s.batch, s.num_heads, std::ssize(expected_rows), s.value_dim);
}

std::vector<std::int64_t> AttentionTensors::out_extents() const {
    const AttentionShape& s = sizes.shape;
    if (sizes.layout == Layout::bhsd) return {s.batch, s.num_heads, s.query_length, s.value_dim};
    return {s.batch, s.query_length, s.num_heads, s.value_dim};
}

AttentionTensors random_attention_tensors(const AttentionCase& sizes) {
    const AttentionShape& s = sizes.shape;
    AttentionTensors result;
    result.sizes = sizes;
    result.query_data = FloatBuffer(s.batch * s.num_heads * s.query_length * s.head_dim);
    result.key_data = FloatBuffer(s.batch * s.num_kv_heads * s.key_length * s.head_dim);
    result.value_data = FloatBuffer(s.batch * s.num_kv_heads * s.key_length * s.value_dim);
    result.out_data = FloatBuffer(out_size(s));
    fill_random(result.query_data.span(), 1);
    fill_random(result.key_data.span(), 2);
    fill_random(result.value_data.span(), 3);
    return result;
}

namespace {

AttentionTensors read_inputs(const AttentionFile& file, const AttentionFileOptions& options) {
    AttentionTensors result;
    result.sizes = {.shape = checked_shape(file), .causal = options.causal, .scale = options.scale, .layout = options.layout};
    result.query_data = file.read("q");
    result.key_data = file.read("k");
    result.value_data = file.read("v");
    result.out_data = FloatBuffer(out_size(result.sizes.shape));
    return result;
}

void read_expected(const AttentionFile& file, AttentionTensors& tensors) {
    const AttentionShape& s = tensors.sizes.shape;
    if (file.contains("expected_rows")) {
        tensors.expected_rows = file.read_integers("expected_rows");
        const auto& rows = tensors.expected_rows;
        const bool ascending = std::ranges::is_sorted(rows, std::less_equal<>());
        file.expect(rows.empty() || (ascending && rows.front() >= 0 && rows.back() < s.query_length),
                    fmt::format("tensor 'expected_rows': expected ascending numbers from 0 to {}", s.query_length - 1));
    } else {
        tensors.expected_rows.resize(static_cast<std::size_t>(s.query_length));
        std::iota(tensors.expected_rows.begin(), tensors.expected_rows.end(), 0);
    }
    const Extents wanted{s.batch, s.num_heads, std::ssize(tensors.expected_rows), s.value_dim}, found = file.extents("expected");
    file.expect(found == wanted, fmt::format("tensor 'expected' is ({}): expected ({})", text(found), text(wanted)));
    tensors.expected_data = file.read("expected");
}

}  // namespace

AttentionShape read_attention_shape(const std::string& path, Layout layout) {
    return checked_shape(AttentionFile(path, layout));
}

AttentionTensors read_attention_tensors(const std::string& path, const AttentionFileOptions& options) {
    return read_inputs(AttentionFile(path, options.layout), options);
}

AttentionTensors read_attention_tensors_with_expected(const std::string& path, const AttentionFileOptions& options) {
    const AttentionFile file(path, options.layout);
    AttentionTensors result = read_inputs(file, options);
    if (file.contains("expected")) read_expected(file, result);
    return result;
}

}  // namespace headwise::tools
