#include "files/safetensors.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "files/output_file.hpp"
#include "text/printable.hpp"
#include "text/usage_error.hpp"

// The file: 8 bytes, the length of the header (little endian); the header, JSON padded with spaces; the data of all tensors.
namespace headwise::tools {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit

void read_at(int descriptor, std::uint64_t offset, std::span<std::byte> out) {
    while (!out.empty()) {
        const ssize_t count = ::pread(descriptor, out.data(), out.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) throw UsageError(std::strerror(errno));
        if (count == 0) throw UsageError("the file ends too early");
        out = out.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
}

std::uint64_t file_bytes(int descriptor) {
    struct stat status{};
    if (::fstat(descriptor, &status) != 0) throw UsageError(std::strerror(errno));
    if (!S_ISREG(status.st_mode)) throw UsageError("not a regular file");
    return static_cast<std::uint64_t>(status.st_size);
}

std::string read_header_text(int descriptor, std::uint64_t size) {
    std::array<std::byte, 8> prefix{};
    if (size < prefix.size()) throw UsageError(fmt::format("the file has {} bytes: too short for a safetensors file", size));
    read_at(descriptor, 0, prefix);
    const auto length = std::bit_cast<std::uint64_t>(prefix);
    if (length > kMaxHeaderBytes)
        throw UsageError(fmt::format("the header claims {} bytes, more than the format's {}", length, kMaxHeaderBytes));
    if (length > size - prefix.size()) {
        throw UsageError(fmt::format("the header claims {} bytes, but only {} follow: not a safetensors file, or truncated", length,
                                     size - prefix.size()));
    }
    std::string text(length, '\0');
    read_at(descriptor, prefix.size(), std::as_writable_bytes(std::span(text)));
    return text;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path)
    : path_(path), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (descriptor_ < 0) throw UsageError(fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
    try {
        const std::uint64_t size = file_bytes(descriptor_);
        const std::string text = read_header_text(descriptor_, size);
        data_offset_ = 8 + text.size();
        header_ = parse_safetensors_header(text, size - data_offset_);
    } catch (const UsageError& error) {
        ::close(descriptor_);
        throw UsageError(fmt::format("cannot read '{}': {}", path, error.what()));
    } catch (...) {
        ::close(descriptor_);
        throw;
    }
}

SafetensorsFile::~SafetensorsFile() {
    ::close(descriptor_);
}

void SafetensorsFile::read(const TensorEntry& entry, std::span<float> out) const {
    read_bytes(entry, "F32", std::as_writable_bytes(out));
}

void SafetensorsFile::read(const TensorEntry& entry, std::span<std::int32_t> out) const {
    read_bytes(entry, "I32", std::as_writable_bytes(out));
}

void SafetensorsFile::read(const TensorEntry& entry, std::span<std::int64_t> out) const {
    read_bytes(entry, "I64", std::as_writable_bytes(out));
}

void SafetensorsFile::read(const TensorEntry& entry, std::span<std::uint8_t> out) const {
    read_bytes(entry, entry.dtype == "BOOL" ? "BOOL" : "U8", std::as_writable_bytes(out));
}

void SafetensorsFile::read_bytes(const TensorEntry& entry, std::string_view dtype, std::span<std::byte> out) const {
    if (entry.dtype != dtype) {
        throw UsageError(fmt::format("'{}': tensor '{}' is {}; only {} is supported, convert it first", path_,
                                     printable_name(entry.name), printable_name(entry.dtype), dtype));
    }
    if (entry.end - entry.begin != out.size()) throw std::logic_error("SafetensorsFile::read: wrong number of elements");
    try {
        read_at(descriptor_, data_offset_ + entry.begin, out);
    } catch (const UsageError& error) {  // the file has shrunk since it was opened
        throw UsageError(fmt::format("cannot read '{}': {}", path_, error.what()));
    }
}

void write_safetensors(const std::string& path, std::span<const WrittenTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
    nlohmann::ordered_json header = nlohmann::ordered_json::object();
    if (!metadata.empty()) header["__metadata__"] = metadata;
    std::uint64_t position = 0;
    for (const WrittenTensor& tensor : tensors) {
        const std::uint64_t end = position + tensor.data.size_bytes();
        header[tensor.name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {position, end}}};
        position = end;
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data is aligned for those who map the file

    OutputFile file(path);
    const auto length = std::bit_cast<std::array<std::byte, 8>>(static_cast<std::uint64_t>(text.size()));
    file.write(length);
    file.write(text);
    for (const WrittenTensor& tensor : tensors) file.write(tensor.data);
    file.commit();
}

}  // namespace headwise::tools
