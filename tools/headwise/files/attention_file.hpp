#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "buffers/float_buffer.hpp"
#include "cases/case.hpp"
#include "files/safetensors.hpp"
#include "text/usage_error.hpp"

namespace headwise::tools {

/// [batch, heads, length, dim], whatever the order in memory.
using Extents = std::array<std::int64_t, 4>;

/// For messages.
std::string extents_text(const Extents& extents);

/// A tensor that a file may have. Views of it are of this object's memory.
template <class T>
struct OptionalTensor {
    std::vector<std::int64_t> shape;
    std::vector<T> memory;  ///< one element more than there are, so that a tensor of none is told from no tensor

    bool given() const { return !memory.empty(); }
    std::span<const T> values() const { return given() ? std::span(memory).first(memory.size() - 1) : std::span<const T>(); }
    template <std::size_t Rank>
    TensorView<const T, Rank> view() const {
        std::array<std::int64_t, Rank> extents{};
        if (!given()) return {};
        std::ranges::copy(shape, extents.begin());
        return {memory.data(), extents};
    }
};

/// What a command does with "expected" and "expected_rows".
enum class Expected : bool { ignored, compared };

/// A safetensors file whose tensors are the arguments of attention, read by name. Every error is a UsageError that names file and
/// tensor.
class AttentionFile {
  public:
    /// Refuses a file with a tensor that is probably meant for one that attention knows, and whose name it is not: to leave it out
    /// would give the wrong result.
    AttentionFile(const std::string& path, Layout layout);

    const std::string& path() const { return file_.path(); }
    Layout layout() const { return layout_; }

    bool contains(std::string_view name) const { return file_.header().find(name) != nullptr; }

    /// Of the tensor's data; 0 where the file has none.
    double bytes(std::string_view name) const;

    /// Lists on stderr the tensors of the file that are not used: those that no command knows, and the model's own output unless it
    /// is compared with.
    void note_unused_tensors(Expected expected) const;

    /// Of one of q, k, v and the like: F32, of four dimensions in the order of the layout.
    Extents extents(std::string_view name) const;

    /// The whole of such a tensor.
    FloatBuffer read(std::string_view name) const;

    std::vector<std::int32_t> read_integers(std::string_view name) const;

    /// The tensor, where the file has it: of one of these dtypes, and with as many dimensions as `dimensions` has names for.
    /// T is that of the dtypes; I32 may be read as std::int64_t.
    template <class T>
    OptionalTensor<T> read_optional(std::string_view name, std::initializer_list<std::string_view> dtypes,
                                    std::initializer_list<std::string_view> dimensions) const;

    void expect(bool condition, const std::string& what) const {
        if (!condition) throw bad(what);
    }
    UsageError bad(std::string_view why) const;

  private:
    const TensorEntry& entry(std::string_view name, std::initializer_list<std::string_view> dtypes = {"F32"}) const;

    SafetensorsFile file_;
    Layout layout_;
};

}  // namespace headwise::tools
