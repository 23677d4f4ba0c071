#include "files/attention_file.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

#include "files/tensor_names.hpp"
#include "text/printable.hpp"

namespace headwise::tools {

std::string extents_text(const Extents& e) {
    return fmt::format("batch {}, heads {}, length {}, dim {}", e[0], e[1], e[2], e[3]);
}

AttentionFile::AttentionFile(const std::string& path, Layout layout) : file_(path), layout_(layout) {
    for (const TensorEntry& tensor : file_.header().tensors) {
        if (is_known_tensor(tensor.name)) continue;
        const std::string_view meant = meant_tensor(tensor.name);
        expect(meant.empty(), fmt::format("tensor '{}' would not be used: rename it to '{}' if that is what it is, or leave it out",
                                          printable_name(tensor.name), meant));
    }
}

double AttentionFile::bytes(std::string_view name) const {
    const TensorEntry* tensor = file_.header().find(name);
    return tensor == nullptr ? 0 : static_cast<double>(tensor->end - tensor->begin);
}

void AttentionFile::note_unused_tensors(Expected expected) const {
    std::vector<std::string> names;
    for (const TensorEntry& tensor : file_.header().tensors)
        if (!is_known_tensor(tensor.name) || (expected == Expected::ignored && is_expected_tensor(tensor.name)))
            names.push_back(tensor.name);
    std::fputs(unused_tensors_note(path(), names).c_str(), stderr);
}

UsageError AttentionFile::bad(std::string_view why) const {
    return UsageError(fmt::format("'{}': {}", path(), why));
}

const TensorEntry& AttentionFile::entry(std::string_view name, std::initializer_list<std::string_view> dtypes) const {
    const TensorEntry* result = file_.header().find(name);
    if (result == nullptr) {
        std::vector<std::string> names;
        for (const TensorEntry& tensor : file_.header().tensors) {
            if (names.size() < 8) names.push_back(printable_name(tensor.name));
        }
        throw bad(
            fmt::format("no tensor '{}'; there are: {}", name, names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
    }
    if (std::ranges::find(dtypes, result->dtype) == dtypes.end()) {
        throw bad(fmt::format("tensor '{}' is {}; only {} is supported, convert it first", name, printable_name(result->dtype),
                              fmt::join(dtypes, " or ")));
    }
    return *result;
}

Extents AttentionFile::extents(std::string_view name) const {
    const TensorEntry& tensor = entry(name);
    if (tensor.shape.size() != 4) {
        throw bad(fmt::format("tensor '{}' has the shape [{}]: expected 4 dimensions, [{}]", name, fmt::join(tensor.shape, ", "),
                              layout_ == Layout::bhsd ? "batch, heads, length, dim" : "batch, length, heads, dim"));
    }
    Extents result{tensor.shape[0], tensor.shape[1], tensor.shape[2], tensor.shape[3]};
    if (layout_ == Layout::bshd) std::swap(result[1], result[2]);
    return result;
}

FloatBuffer AttentionFile::read(std::string_view name) const {
    const TensorEntry& tensor = entry(name);
    FloatBuffer buffer(static_cast<std::int64_t>((tensor.end - tensor.begin) / sizeof(float)));
    file_.read(tensor, buffer.span());
    return buffer;
}

std::vector<std::int32_t> AttentionFile::read_integers(std::string_view name) const {
    const TensorEntry& tensor = entry(name, {"I32"});
    std::vector<std::int32_t> result((tensor.end - tensor.begin) / sizeof(std::int32_t));
    file_.read(tensor, std::span(result));
    return result;
}

template <class T>
OptionalTensor<T> AttentionFile::read_optional(std::string_view name, std::initializer_list<std::string_view> dtypes,
                                               std::initializer_list<std::string_view> dimensions) const {
    OptionalTensor<T> result;
    if (!contains(name)) return result;
    const TensorEntry& tensor = entry(name, dtypes);
    if (tensor.shape.size() != dimensions.size()) {
        throw bad(fmt::format("tensor '{}' has the shape [{}]: expected {} dimension{}, [{}]", name, fmt::join(tensor.shape, ", "),
                              dimensions.size(), dimensions.size() == 1 ? "" : "s", fmt::join(dimensions, ", ")));
    }
    // An empty tensor may have any other dimensions: keep its strides within 63 bits.
    double size = 1;
    for (const std::int64_t extent : tensor.shape) size *= static_cast<double>(std::max(extent, std::int64_t{1}));
    expect(size < 0x1p60, fmt::format("tensor '{}' has the shape [{}]: too large", name, fmt::join(tensor.shape, ", ")));
    result.shape = tensor.shape;
    if constexpr (sizeof(T) == sizeof(std::int64_t)) {
        if (tensor.dtype == "I32") {
            const std::vector<std::int32_t> narrow = read_integers(name);
            result.memory.resize(narrow.size() + 1);
            std::ranges::copy(narrow, result.memory.begin());
            return result;
        }
    }
    const std::uint64_t count = (tensor.end - tensor.begin) / sizeof(T);
    result.memory.resize(count + 1);
    file_.read(tensor, std::span(result.memory).first(count));
    return result;
}

#define HEADWISE_INSTANTIATE(T)                                                                                               \
    template OptionalTensor<T> AttentionFile::read_optional(std::string_view, std::initializer_list<std::string_view> dtypes, \
                                                            std::initializer_list<std::string_view> dimensions) const;
HEADWISE_INSTANTIATE(float)
HEADWISE_INSTANTIATE(std::uint8_t)
HEADWISE_INSTANTIATE(std::int32_t)
HEADWISE_INSTANTIATE(std::int64_t)
#undef HEADWISE_INSTANTIATE

}  // namespace headwise::tools
