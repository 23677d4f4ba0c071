#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "files/safetensors.hpp"
#include "text/printable.hpp"
#include "text/usage_error.hpp"

namespace headwise::tools {
namespace {

// Dimensions of real tensors are far below; the limit keeps a hostile shape of a million ones out.
constexpr std::size_t kMaxRank = 32;

/// Of one element; none for dtypes of parts of bytes and for those that came after this was written: what is not read may be
/// anything.
std::optional<std::uint64_t> dtype_bytes(std::string_view dtype) {
    static constexpr std::array<std::pair<std::string_view, std::uint64_t>, 17> kSizes{{{"BOOL", 1},
                                                                                        {"U8", 1},
                                                                                        {"I8", 1},
                                                                                        {"F8_E5M2", 1},
                                                                                        {"F8_E4M3", 1},
                                                                                        {"F8_E8M0", 1},
                                                                                        {"I16", 2},
                                                                                        {"U16", 2},
                                                                                        {"F16", 2},
                                                                                        {"BF16", 2},
                                                                                        {"I32", 4},
                                                                                        {"U32", 4},
                                                                                        {"F32", 4},
                                                                                        {"I64", 8},
                                                                                        {"U64", 8},
                                                                                        {"F64", 8},
                                                                                        {"C64", 8}}};
    for (const auto& [name, bytes] : kSizes) {
        if (name == dtype) return bytes;
    }
    return std::nullopt;
}

/// Reads the JSON event by event, accepting at each place only what a safetensors header has there. No document is built, so
/// nesting and size of hostile input cost nothing, and a name given twice is seen.
class HeaderReader {
  public:
    using number_integer_t = nlohmann::json::number_integer_t;
    using number_unsigned_t = nlohmann::json::number_unsigned_t;
    using number_float_t = nlohmann::json::number_float_t;
    using string_t = nlohmann::json::string_t;
    using binary_t = nlohmann::json::binary_t;

    SafetensorsHeader header;
    std::string error;

    bool null() { return unexpected("null"); }
    bool boolean(bool) { return unexpected("a boolean"); }
    bool number_integer(number_integer_t value) { return unexpected(fmt::format("the number {}", value)); }
    bool number_float(number_float_t, const string_t& text) { return unexpected(fmt::format("the number {}", text)); }
    bool binary(binary_t&) { return unexpected("binary data"); }

    bool number_unsigned(number_unsigned_t value) {
        if (place_ == Place::shape) {
            if (value > static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max())) {
                return fail(fmt::format("tensor '{}': the dimension {} is too large", printable_name(entry_.name), value));
            }
            if (entry_.shape.size() == kMaxRank) {
                return fail(fmt::format("tensor '{}' has more than {} dimensions", printable_name(entry_.name), kMaxRank));
            }
            entry_.shape.push_back(static_cast<std::int64_t>(value));
            return true;
        }
        if (place_ == Place::offsets && num_offsets_ < 2) {
            (num_offsets_++ == 0 ? entry_.begin : entry_.end) = value;
            return true;
        }
        return unexpected(fmt::format("the number {}", value));
    }

    bool string(string_t& value) {
        if (place_ == Place::metadata) {
            header.metadata.emplace(key_, std::move(value));
            return true;
        }
        if (place_ == Place::tensor && key_ == "dtype") {
            entry_.dtype = std::move(value);
            return true;
        }
        return unexpected("a string");
    }

    bool start_object(std::size_t) {
        if (place_ == Place::start) {
            place_ = Place::top;
            return true;
        }
        if (place_ != Place::top) return unexpected("an object");
        if (key_ == "__metadata__") {
            place_ = Place::metadata;
        } else {
            place_ = Place::tensor;
            entry_ = TensorEntry{};
            entry_.name = key_;
            num_offsets_ = 0;
        }
        fields_.clear();
        return true;
    }

    bool key(string_t& name) {
        key_ = std::move(name);
        if (place_ == Place::top) {
            return names_.insert(key_).second || fail(fmt::format("the name '{}' appears twice", printable_name(key_)));
        }
        if (place_ == Place::tensor && key_ != "dtype" && key_ != "shape" && key_ != "data_offsets") {
            return fail(fmt::format("tensor '{}' has the unknown field '{}'", printable_name(entry_.name), printable_name(key_)));
        }
        return fields_.insert(key_).second || fail(fmt::format("the field '{}' appears twice in one object", printable_name(key_)));
    }

    bool end_object() {
        if (place_ == Place::tensor) {
            for (const char* field : {"dtype", "shape", "data_offsets"}) {
                if (!fields_.contains(field)) return fail(fmt::format("tensor '{}' has no {}", printable_name(entry_.name), field));
            }
            header.tensors.push_back(std::move(entry_));
        }
        place_ = place_ == Place::top ? Place::done : Place::top;
        return true;
    }

    bool start_array(std::size_t) {
        if (place_ != Place::tensor || key_ == "dtype") return unexpected("an array");
        place_ = key_ == "shape" ? Place::shape : Place::offsets;
        return true;
    }

    bool end_array() {
        if (place_ == Place::offsets && num_offsets_ != 2) {
            return fail(
                fmt::format("tensor '{}': data_offsets has {} numbers instead of 2", printable_name(entry_.name), num_offsets_));
        }
        place_ = Place::tensor;
        return true;
    }

    bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) {
        return fail(fmt::format("not valid JSON in UTF-8 (byte {})", position));
    }

  private:
    enum class Place { start, top, metadata, tensor, shape, offsets, done };

    bool fail(std::string message) {
        error = std::move(message);
        return false;
    }

    bool unexpected(const std::string& what) {
        switch (place_) {
            case Place::start: return fail(fmt::format("{} where the header object was expected", what));
            case Place::top: return fail(fmt::format("'{}' is {} where an object was expected", printable_name(key_), what));
            case Place::metadata:
                return fail(fmt::format("__metadata__: '{}' is {} where a string was expected", printable_name(key_), what));
            default:
                return fail(fmt::format("tensor '{}': {} is or holds {}", printable_name(entry_.name), printable_name(key_), what));
        }
    }

    Place place_ = Place::start;
    std::string key_;
    TensorEntry entry_;
    int num_offsets_ = 0;
    std::set<std::string> names_;   // of the top level
    std::set<std::string> fields_;  // of the object being read
};

/// Bytes of the tensor's data by its shape and dtype; none where the dtype is not known.
std::optional<std::uint64_t> expected_bytes(const TensorEntry& entry) {
    const auto size = dtype_bytes(entry.dtype);
    if (!size) return std::nullopt;
    // A dimension of 0 makes any product 0, but is no licence for the others to overflow.
    std::uint64_t bytes = *size;
    bool empty = false;
    for (const std::int64_t dimension : entry.shape) {
        empty = empty || dimension == 0;
        if (__builtin_mul_overflow(bytes, std::max<std::uint64_t>(static_cast<std::uint64_t>(dimension), 1), &bytes)) {
            throw UsageError(fmt::format("tensor '{}': the size of the shape [{}] overflows", printable_name(entry.name),
                                         fmt::join(entry.shape, ", ")));
        }
    }
    return empty ? 0 : bytes;
}

void check_layout(const std::vector<TensorEntry>& tensors, std::uint64_t data_bytes) {
    std::uint64_t position = 0;
    for (const TensorEntry& entry : tensors) {
        const std::string name = printable_name(entry.name);
        if (entry.end < entry.begin || entry.end > data_bytes) {
            throw UsageError(fmt::format("tensor '{}': data_offsets [{}, {}] do not lie within the {} bytes of data", name,
                                         entry.begin, entry.end, data_bytes));
        }
        if (const auto expected = expected_bytes(entry); expected && entry.end - entry.begin != *expected) {
            throw UsageError(fmt::format("tensor '{}': data_offsets [{}, {}] hold {} bytes, but {} [{}] takes {}", name,
                                         entry.begin, entry.end, entry.end - entry.begin, entry.dtype, fmt::join(entry.shape, ", "),
                                         *expected));
        }
        if (entry.begin != position) {
            throw UsageError(fmt::format("tensor '{}' begins at byte {} of the data where {} was expected: {}", name, entry.begin,
                                         position, entry.begin < position ? "tensors overlap" : "there is a hole"));
        }
        position = entry.end;
    }
    if (position != data_bytes) {
        throw UsageError(fmt::format("the tensors end at byte {} of the data, which has {}", position, data_bytes));
    }
}

}  // namespace

const TensorEntry* SafetensorsHeader::find(std::string_view name) const {
    const auto it = std::ranges::find(tensors, name, &TensorEntry::name);
    return it == tensors.end() ? nullptr : &*it;
}

SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes) {
    if (!json.starts_with('{')) throw UsageError("the header does not begin with '{': this is not a safetensors file");
    HeaderReader reader;
    if (!nlohmann::json::sax_parse(json, &reader)) throw UsageError("bad header: " + reader.error);
    auto& tensors = reader.header.tensors;
    std::ranges::sort(tensors, {}, [](const TensorEntry& e) { return std::pair(e.begin, e.end); });
    check_layout(tensors, data_bytes);
    return std::move(reader.header);
}

}  // namespace headwise::tools
