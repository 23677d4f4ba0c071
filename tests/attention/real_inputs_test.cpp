// Queries, keys and values of trained models on real text (data/README.md), against what the models themselves made of them.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/attention_case.hpp"

namespace headwise::test {
namespace {

class SafetensorsFile {
  public:
    explicit SafetensorsFile(const std::string& name) : file_(std::string(HEADWISE_DATA_DIR) + "/" + name, std::ios::binary) {
        REQUIRE_MESSAGE(file_.good(), name << " cannot be read");
        std::uint64_t length = 0;
        file_.read(reinterpret_cast<char*>(&length), sizeof length);
        std::string text(length, ' ');
        file_.read(text.data(), static_cast<std::streamsize>(length));
        header_ = nlohmann::json::parse(text);
        data_ = sizeof length + length;
    }

    std::string metadata(const std::string& key) const { return header_["__metadata__"][key]; }

    std::vector<std::int64_t> shape(const std::string& tensor) const { return header_[tensor]["shape"]; }

    template <class T>
    std::vector<T> read(const std::string& tensor) {
        const std::vector<std::uint64_t> offsets = header_[tensor]["data_offsets"];
        std::vector<T> values((offsets[1] - offsets[0]) / sizeof(T));
        file_.seekg(static_cast<std::streamoff>(data_ + offsets[0]));
        file_.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(offsets[1] - offsets[0]));
        REQUIRE(file_.good());
        return values;
    }

    PlainTensor<float> tensor(const std::string& name) {
        const auto extent = shape(name);
        PlainTensor<float> result({extent[0], extent[1], extent[2], extent[3]});
        const auto values = read<float>(name);
        std::copy(values.begin(), values.end(), result.data.begin());
        return result;
    }

  private:
    std::ifstream file_;
    nlohmann::json header_;
    std::uint64_t data_ = 0;
};

// The models ran in float as well: how far their own results lie from double precision (data/README.md: 7e-7 and 2.4e-6), and a
// margin.
constexpr double kModelError = 1e-5;

void check_against_model(const std::string& name, Causal causal) {
    SafetensorsFile file(name);
    const PlainTensor<float> query = file.tensor("q"), key = file.tensor("k"), value = file.tensor("v"),
                             expected = file.tensor("expected");
    std::vector<std::int32_t> rows;
    if (expected.view.extent[2] == query.view.extent[2])
        for (std::int32_t i = 0; i < query.view.extent[2]; ++i) rows.push_back(i);
    else
        rows = file.read<std::int32_t>("expected_rows");

    PlainTensor<float> out({query.view.extent[0], query.view.extent[1], query.view.extent[2], value.view.extent[3]});
    const AttentionOptions options{.causal = causal, .scale = std::stof(file.metadata("scale"))};
    check_attention({query.view, key.view, value.view, out.view}, options);
    double error = 0;
    for_each_element(expected.view.extent, [&](auto b, auto h, auto s, auto d) {
        const float result = element(out.view, b, h, rows[static_cast<std::size_t>(s)], d);
        error = std::max(error, std::abs(static_cast<double>(result) - static_cast<double>(element(expected.view, b, h, s, d))));
    });
    MESSAGE(name, ": largest difference from the model's own result: ", error);
    CHECK(error < kModelError);
}

TEST_CASE("all heads of all layers of MiniLM, for a sentence") {
    check_against_model("minilm.safetensors", Causal::none);
}

TEST_CASE("a layer of SmolLM2 with grouped heads, causal, for 512 tokens") {
    check_against_model("smollm2.safetensors", Causal::bottom_right);
}

}  // namespace
}  // namespace headwise::test
