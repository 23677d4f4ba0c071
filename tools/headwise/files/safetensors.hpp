#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headwise::tools {

/// One tensor of a safetensors file.
struct TensorEntry {
    std::string name;
    std::string dtype;                 ///< as the file spells it: "F32", "BF16", ...
    std::vector<std::int64_t> shape;   ///< row-major; empty: a scalar
    std::uint64_t begin = 0, end = 0;  ///< bytes, counted from the end of the header
};

/// What the header of a safetensors file says, after every check: the tensors fill the data section without overlap and without
/// holes, and each one's bytes agree with its shape and dtype, where that is one whose elements are known to take whole bytes.
struct SafetensorsHeader {
    std::vector<TensorEntry> tensors;             ///< in the order of their data
    std::map<std::string, std::string> metadata;  ///< "__metadata__"

    const TensorEntry* find(std::string_view name) const;
};

/// Parses the JSON text of a header whose data section has `data_bytes` bytes. The text may be hostile: time and memory are linear
/// in its length. Throws UsageError.
SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes);

/// A safetensors file: its header, checked, and its tensors, read on demand.
class SafetensorsFile {
  public:
    /// Throws UsageError, naming the file.
    explicit SafetensorsFile(const std::string& path);
    SafetensorsFile(const SafetensorsFile&) = delete;
    SafetensorsFile& operator=(const SafetensorsFile&) = delete;
    ~SafetensorsFile();

    const SafetensorsHeader& header() const { return header_; }
    const std::string& path() const { return path_; }

    /// Reads the tensor's data. `out` holds exactly its number of elements. Throws UsageError unless the dtype is that of `out`:
    /// F32, I32, I64, for bytes U8 or BOOL.
    void read(const TensorEntry& entry, std::span<float> out) const;
    void read(const TensorEntry& entry, std::span<std::int32_t> out) const;
    void read(const TensorEntry& entry, std::span<std::int64_t> out) const;
    void read(const TensorEntry& entry, std::span<std::uint8_t> out) const;

  private:
    void read_bytes(const TensorEntry& entry, std::string_view dtype, std::span<std::byte> out) const;

    std::string path_;
    int descriptor_ = -1;
    std::uint64_t data_offset_ = 0;
    SafetensorsHeader header_;
};

/// A tensor to be written: F32 or I32, by its elements.
struct WrittenTensor {
    WrittenTensor(std::string name_, std::vector<std::int64_t> shape_, std::span<const float> values)
        : name(std::move(name_)), shape(std::move(shape_)), dtype("F32"), data(std::as_bytes(values)) {}
    WrittenTensor(std::string name_, std::vector<std::int64_t> shape_, std::span<const std::int32_t> values)
        : name(std::move(name_)), shape(std::move(shape_)), dtype("I32"), data(std::as_bytes(values)) {}

    std::string name;
    std::vector<std::int64_t> shape;
    std::string_view dtype;
    std::span<const std::byte> data;
};

/// Writes a safetensors file; it appears complete or not at all.
void write_safetensors(const std::string& path, std::span<const WrittenTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace headwise::tools
