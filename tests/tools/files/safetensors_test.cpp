#include "files/safetensors.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "text/printable.hpp"
#include "text/usage_error.hpp"

using namespace headwise::tools;

namespace {

/// A file that goes away with the test.
class TemporaryFile {
  public:
    explicit TemporaryFile(std::string_view content) {
        path_ = (std::filesystem::temp_directory_path() / fmt::format("headwise-{}-{}.safetensors", ::getpid(), count_++)).string();
        std::ofstream(path_, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
    }
    ~TemporaryFile() { std::remove(path_.c_str()); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    const std::string& path() const { return path_; }

  private:
    static inline int count_ = 0;
    std::string path_;
};

std::string file_content(std::string_view header, std::uint64_t header_bytes, std::size_t data_bytes) {
    std::string content(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) content[i] = static_cast<char>(header_bytes >> (8 * i));
    return content.append(header).append(data_bytes, 'x');
}

std::string file_content(std::string_view header, std::size_t data_bytes) {
    return file_content(header, header.size(), data_bytes);
}

std::string parse_error(std::string_view json, std::uint64_t data_bytes) {
    try {
        parse_safetensors_header(json, data_bytes);
    } catch (const UsageError& error) {
        return error.what();
    }
    return "no error";
}

std::string open_error(std::string_view content) {
    const TemporaryFile file(content);
    try {
        const SafetensorsFile opened(file.path());
    } catch (const UsageError& error) {
        return error.what();
    }
    return "no error";
}

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

constexpr std::string_view kGood =
    R"({"__metadata__":{"text":"a \"b\""},"q":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"k":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}})";

}  // namespace

TEST_CASE("tensors that were written come back bit by bit, with their metadata") {
    const TemporaryFile file("");
    const std::vector<float> a{1.5f, -0.0f, 3e38f, 1e-45f, 7.0f, 8.0f}, empty;
    const std::vector<std::int32_t> integers{-1, INT32_MAX};
    const std::vector<WrittenTensor> tensors{
        {"a", {2, 3}, a}, {"b \"\n", {0, 5}, empty}, {"c", {}, std::span(a).first(1)}, {"i", {2, 1}, integers}};
    write_safetensors(file.path(), tensors, {{"key", "value"}});

    const SafetensorsFile read(file.path());
    CHECK(read.header().metadata.at("key") == "value");
    REQUIRE(read.header().tensors.size() == tensors.size());
    for (const WrittenTensor& tensor : tensors) {
        const TensorEntry* entry = read.header().find(tensor.name);
        REQUIRE(entry != nullptr);
        CHECK(entry->dtype == tensor.dtype);
        CHECK(entry->shape == tensor.shape);
        std::vector<float> floats(tensor.data.size() / 4);
        std::vector<std::int32_t> whole(floats.size());
        tensor.dtype == "I32" ? read.read(*entry, whole) : read.read(*entry, floats);
        const auto data = tensor.dtype == "I32" ? std::as_bytes(std::span(whole)) : std::as_bytes(std::span(floats));
        CHECK(std::ranges::equal(data, tensor.data));
    }
    CHECK(read.header().find("d") == nullptr);
}

TEST_CASE("a header is read with its tensors in the order of their data") {
    const SafetensorsHeader header = parse_safetensors_header(
        R"({"b":{"data_offsets":[4,8],"shape":[],"dtype":"I32"}, "a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}   )", 8);
    REQUIRE(header.tensors.size() == 2);
    CHECK(header.tensors[0].name == "a");
    CHECK(header.tensors[1].name == "b");
    CHECK(parse_safetensors_header("{}", 0).tensors.empty());
}

TEST_CASE("what is wrong with a header is said by name") {
    struct Example {
        std::string_view json;
        std::uint64_t data_bytes;
        std::string_view message;
    };
    const auto one = [](std::string_view fields) { return fmt::format(R"({{"q":{{{}}}}})", fields); };
    const std::string negative = one(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])");
    const std::string fraction = one(R"("dtype":"F32","shape":[1.5],"data_offsets":[0,4])");
    const std::string huge = one(R"("dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4])");
    const std::string larger = one(R"("dtype":"F32","shape":[99999999999999999999999],"data_offsets":[0,4])");
    const std::string overflow = one(R"("dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4])");
    const std::string overflow_and_zero = one(R"("dtype":"F32","shape":[4611686018427387904,4,0],"data_offsets":[0,0])");
    const std::string wrong_size = one(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])");
    const std::string outside = one(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])");
    const std::string backwards = one(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])");
    const std::string hole = one(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])");
    const std::string one_offset = one(R"("dtype":"F32","shape":[1],"data_offsets":[0])");
    const std::string three_offsets = one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,8])");
    const std::string missing = one(R"("dtype":"F32","data_offsets":[0,4])");
    const std::string twice_field = one(R"("dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4])");
    const std::string unknown = one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1)");
    const std::string deep_shape = one(R"("dtype":"F32","shape":[[1]],"data_offsets":[0,4])");
    const std::vector<Example> examples{
        {"", 0, "does not begin with '{'"},
        {" {}", 0, "does not begin with '{'"},
        {"[]", 0, "does not begin with '{'"},
        {"{", 0, "not valid JSON"},
        {"{}x", 0, "not valid JSON"},
        {"{\"q\xff\":{}}", 0, "not valid JSON"},
        {"{}", 4, "end at byte 0 of the data, which has 4"},
        {R"({"q":1})", 0, "'q' is the number 1"},
        {R"({"q":null})", 0, "'q' is null"},
        {R"({"q":[1]})", 0, "'q' is an array"},
        {R"({"__metadata__":{"a":1}})", 0, "__metadata__: 'a' is the number 1"},
        {R"({"__metadata__":{"a":{}}})", 0, "__metadata__: 'a' is an object"},
        {R"({"__metadata__":{},"__metadata__":{}})", 0, "appears twice"},
        {R"({"q":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"q":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8,
         "'q' appears twice"},
        {R"({"q":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"k":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4,
         "overlap"},
        {negative, 4, "-1"},
        {fraction, 4, "1.5"},
        {huge, 4, "too large"},
        {larger, 4, "99999999999999999999999"},
        {overflow, 4, "overflows"},
        {overflow_and_zero, 0, "overflows"},
        {wrong_size, 4, "hold 4 bytes, but F32 [2] takes 8"},
        {outside, 4, "do not lie within the 4 bytes"},
        {backwards, 4, "do not lie within"},
        {hole, 8, "there is a hole"},
        {one_offset, 4, "1 numbers instead of 2"},
        {three_offsets, 4, "8"},
        {missing, 4, "has no shape"},
        {twice_field, 4, "'dtype' appears twice"},
        {unknown, 4, "unknown field 'more'"},
        {deep_shape, 4, "shape"},
    };
    for (const Example& example : examples) {
        CAPTURE(example.json);
        const std::string error = parse_error(example.json, example.data_bytes);
        CAPTURE(error);
        CHECK(contains(error, example.message));
        CHECK(!contains(error, "\n"));
    }
}

TEST_CASE("a tensor that nobody reads may have any dtype") {
    for (const std::string_view dtype : {"F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E4M3FNUZ", "F33", "", "\\u001b[31m"}) {
        CAPTURE(dtype);
        const std::string header = fmt::format(R"({{"q":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}},)"
                                               R"("x":{{"dtype":"{}","shape":[3,1],"data_offsets":[4,7]}}}})",
                                               dtype);
        const TemporaryFile file(file_content(header, 7));
        const SafetensorsFile read(file.path());
        std::vector<float> out(1);
        read.read(*read.header().find("q"), out);
        CHECK_THROWS_WITH_AS(read.read(*read.header().find("x"), out), doctest::Contains("only F32 is supported"), UsageError);
        try {
            read.read(*read.header().find("x"), out);
        } catch (const UsageError& error) {
            CHECK(!contains(error.what(), "\x1b"));
        }
        CHECK(contains(open_error(file_content(header, 8)), "end at byte 7"));
    }
    CHECK(parse_error(R"({"x":{"dtype":"C64","shape":[2],"data_offsets":[0,16]}})", 16) == "no error");
    CHECK(contains(parse_error(R"({"x":{"dtype":"C64","shape":[2],"data_offsets":[0,8]}})", 8), "takes 16"));
    CHECK(contains(parse_error(R"({"x":{"dtype":"F8_E8M0","shape":[2],"data_offsets":[0,8]}})", 8), "takes 2"));
}

TEST_CASE("control characters of names are escaped in every message") {
    for (const std::string& json :
         {std::string(R"({"\u001b\u0000\u009bq":1})"), std::string(R"({"\u001bq":{"dtype":"F32","shape":[9223372036854775808]}})"),
          fmt::format(R"({{"\u001bq":{{"dtype":"F32","shape":[{}1]}}}})", fmt::join(std::vector<std::string>(40, "1,"), ""))}) {
        const std::string error = parse_error(json, 0);
        CAPTURE(error);
        CHECK(contains(error, "\\x1b"));
        CHECK(!contains(error, "\x1b"));
        CHECK(!contains(error, "\xc2\x9b"));
    }
    CHECK(printable("\xe2\x80\xae\xe2\x80\xa8\xe4\xb8\x96\xf0\x9f\x98\x80") == "\\u202e\\u2028\xe4\xb8\x96\xf0\x9f\x98\x80");
    CHECK(printable("\x80\xff\xc0\x8a\xe2\x80") == "\\x80\\xff\\xc0\\x8a\\xe2\\x80");  // no UTF-8
    CHECK(printable("a\n\x7f\xc2\x9b\xc3\xa9") == "a\\x0a\\x7f\\x9b\xc3\xa9");
    CHECK(printable_name(std::string(63, 'x') + "\xc3\xa9") == std::string(63, 'x') + "...");
}

TEST_CASE("a deeply nested header costs neither stack nor memory") {
    for (const std::string_view unit : {R"({"a":)", "[", R"({"__metadata__":{"a":)"}) {
        std::string bomb;
        while (bomb.size() < (4u << 20)) bomb += unit;
        CHECK(contains(parse_error("{\"q\":" + bomb, 0), "q"));
        CHECK(parse_error(bomb, 0) != "no error");
    }
}

TEST_CASE("a file is refused when its sizes do not fit together") {
    CHECK(contains(open_error(""), "too short"));
    CHECK(contains(open_error("1234567"), "too short"));
    CHECK(contains(open_error(file_content("{}", 3, 0)), "truncated"));
    CHECK(contains(open_error(file_content("{}", 0, 0)), "does not begin"));
    CHECK(contains(open_error(file_content("{}", std::uint64_t{1} << 63, 0)), "more than the format's"));
    CHECK(contains(open_error(file_content("{}", ~std::uint64_t{0}, 0)), "more than the format's"));
    CHECK(contains(open_error(file_content("{}", 100'000'001, 0)), "more than the format's"));
    CHECK(contains(open_error(file_content(kGood, 31)), "do not lie within"));
    CHECK(contains(open_error(file_content(kGood, 33)), "end at byte 32"));
    CHECK(open_error(file_content(kGood, 32)) == "no error");
    CHECK_THROWS_WITH_AS(SafetensorsFile("/nowhere/at/all"), doctest::Contains("/nowhere/at/all"), UsageError);
    CHECK_THROWS_WITH_AS(SafetensorsFile("/"), doctest::Contains("regular file"), UsageError);
}

TEST_CASE("a tensor is read as what its dtype is, and as nothing else") {
    const TemporaryFile file(file_content(R"({"mask":{"dtype":"BOOL","shape":[8],"data_offsets":[0,8]},)"
                                          R"("bytes":{"dtype":"U8","shape":[8],"data_offsets":[8,16]},)"
                                          R"("narrow":{"dtype":"I32","shape":[2],"data_offsets":[16,24]},)"
                                          R"("wide":{"dtype":"I64","shape":[1],"data_offsets":[24,32]},)"
                                          R"("half":{"dtype":"BF16","shape":[4],"data_offsets":[32,40]}})",
                                          40));
    const SafetensorsFile read(file.path());
    std::vector<float> floats(2);
    std::vector<std::uint8_t> bytes(8);
    std::vector<std::int32_t> narrow(2);
    std::vector<std::int64_t> wide(1);
    for (const TensorEntry& entry : read.header().tensors) {
        CAPTURE(entry.name);
        const auto check = [&](auto& out, bool fits) {
            if (fits) {
                CHECK_NOTHROW(read.read(entry, out));
            } else {
                CHECK_THROWS_WITH_AS(read.read(entry, out), doctest::Contains(entry.dtype.c_str()), UsageError);
            }
        };
        check(floats, false);
        check(bytes, entry.dtype == "BOOL" || entry.dtype == "U8");
        check(narrow, entry.dtype == "I32");
        check(wide, entry.dtype == "I64");
    }
    CHECK(bytes[7] == 'x');
    CHECK(narrow[1] == 0x78787878);
    CHECK(wide[0] == 0x7878787878787878);
}

TEST_CASE("a file that shrinks after it was opened is an error, not a crash") {
    const TemporaryFile file(file_content(kGood, 32));
    const SafetensorsFile read(file.path());
    std::filesystem::resize_file(file.path(), 20);
    std::vector<float> out(6);
    CHECK_THROWS_WITH_AS(read.read(*read.header().find("q"), out), doctest::Contains("too early"), UsageError);
}

TEST_CASE("mutated headers are either refused or consistent") {
    // What a mutation may put in: tokens of the format, and numbers at the edges.
    const std::vector<std::string> tokens{
        "{",  "}",    "[",    "]",    ",",    ":",       "\"",    "0",         "-1",
        "4",  "24",   "1e9",  "null", "true", "\"F32\"", "\"q\"", "\"shape\"", "18446744073709551615",
        "\\", "\xc3", "\xff", " ",    "\n",   "\"I64\"", "[0,4]", "{}",        "9223372036854775807"};
    constexpr unsigned kSeed = 20240607;
    MESSAGE("seed " << kSeed);
    std::mt19937 random(kSeed);
    const auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
    int accepted = 0;
    for (int round = 0; round < 20000; ++round) {
        std::string json(kGood);
        for (std::size_t edits = 1 + below(4); edits > 0 && !json.empty(); --edits) {
            const std::size_t at = below(json.size());
            switch (below(5)) {
                case 0: json[at] = static_cast<char>(below(256)); break;
                case 1: json.erase(at, 1 + below(8)); break;
                case 2: json.insert(at, tokens[below(tokens.size())]); break;
                case 3: json.replace(at, 1 + below(3), tokens[below(tokens.size())]); break;
                default: json.insert(at, json.substr(below(json.size()), below(40))); break;
            }
        }
        CAPTURE(json);
        try {
            const SafetensorsHeader header = parse_safetensors_header(json, 32);
            ++accepted;
            std::uint64_t position = 0;
            for (const TensorEntry& entry : header.tensors) {
                REQUIRE(entry.begin == position);
                REQUIRE(entry.end >= entry.begin);
                position = entry.end;
            }
            REQUIRE(position == 32);
        } catch (const UsageError& error) {
            REQUIRE(!std::string_view(error.what()).empty());
        }
    }
    CHECK(accepted > 0);      // mutations of names and metadata do no harm
    CHECK(accepted < 10000);  // most others do
}

TEST_CASE("mutated and truncated files are either refused or readable") {
    std::mt19937 random(7);
    const std::string good = file_content(kGood, 32);
    for (int round = 0; round < 1000; ++round) {
        std::string content = good;
        content[random() % (random() % 4 == 0 ? 8 : content.size())] = static_cast<char>(random());
        if (round % 2 == 0) content.resize(random() % (content.size() + 1));
        const TemporaryFile file(content);
        try {
            const SafetensorsFile read(file.path());
            for (const TensorEntry& entry : read.header().tensors) {
                std::vector<float> out((entry.end - entry.begin) / sizeof(float));
                if (entry.dtype == "F32") read.read(entry, out);
            }
        } catch (const UsageError&) {
        }
    }
}
