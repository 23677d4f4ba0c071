#include "profile/write/timeline.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

using headwise::tools::profile_timeline;
using Json = nlohmann::json;

namespace {

Json task(int worker, int head, double start, double end, int heads = 1, const char* kernel = "query-lanes") {
    return {{"loop", 0},         {"worker", worker}, {"batch", 0},        {"head", head},  {"heads", heads}, {"row_block", 0},
            {"column_block", 0}, {"kernel", kernel}, {"start_us", start}, {"end_us", end}, {"flops", 1e6},   {"bytes", 1e4}};
}

/// A run of 100 us; a worker is busy for the time of its tasks.
Json run(int workers, const std::vector<Json>& tasks, const std::string& name = "some case") {
    Json lanes = Json::array();
    for (int worker = 0; worker < workers; ++worker) {
        double busy = 0;
        for (const Json& one : tasks)
            busy += one["worker"] == worker ? one["end_us"].get<double>() - one["start_us"].get<double>() : 0;
        lanes.push_back({{"worker", worker}, {"busy_us", busy}, {"idle_us", 100 - busy}});
    }
    return {
        {"case", name},
        {"threads", workers},
        {"schedule", "auto"},
        {"seconds", 1e-4},
        {"workers", lanes},
        {"tasks", tasks},
        {"loops", {{{"operation", "attention"}, {"workers", workers}, {"tasks", tasks.size()}, {"start_us", 0}, {"end_us", 100}}}}};
}

/// The lines for these runs.
std::vector<std::string> lines(const std::vector<Json>& runs, int columns) {
    std::istringstream text(profile_timeline(Json{{"schema", "headwise.profile/1"}, {"runs", runs}}.dump(), columns));
    std::vector<std::string> result;
    for (std::string line; std::getline(text, line);) result.push_back(line);
    return result;
}

std::size_t characters(const std::string& text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// What stands between the edges of a row.
std::string cells(const std::string& row) {
    static const std::string kEdge = "│";
    const std::size_t begin = row.find(kEdge) + kEdge.size();
    return row.substr(begin, row.rfind(kEdge) - begin);
}

// 60 columns less "worker 0", two edges and the share: 42 cells, and with 68 columns 50, of 2 us each.
constexpr int kFiftyCells = 68;

}  // namespace

TEST_CASE("a row shows which head had most of each stretch of time, and where the worker was idle") {
    const auto text = lines({run(2, {task(0, 0, 0, 50), task(0, 1, 50, 90), task(1, 2, 20, 100)})}, kFiftyCells);
    CHECK(text.at(0) == "auto, 2 threads, 100 µs: some case");
    CHECK(text.at(1) == "worker 0│" + std::string(25, '0') + std::string(20, '1') + std::string(5, '.') + "│  90.0 %");
    CHECK(text.at(2) == "worker 1│" + std::string(10, '.') + std::string(40, '2') + "│  80.0 %");
    CHECK(text.at(5) == "0-2: heads 0-2   .: idle");
}

TEST_CASE("a run that others disturbed is marked") {
    Json busy = run(1, {task(0, 0, 0, 50)});
    busy["disturbed"] = true;
    CHECK(lines({busy}, kFiftyCells).at(0) == "auto, 1 thread, 100 µs, disturbed: some case");
    busy["disturbed"] = false;
    CHECK(lines({busy}, kFiftyCells).at(0) == "auto, 1 thread, 100 µs: some case");
}

TEST_CASE("in a stretch with several tasks the longest counts; less than half busy is idle") {
    const auto text =
        lines({run(1, {task(0, 0, 0, 0.5), task(0, 1, 0.5, 1.8), task(0, 2, 2, 2.9), task(0, 3, 4, 5.1)})}, kFiftyCells);
    CHECK(cells(text.at(1)) == "1.3" + std::string(47, '.'));
}

TEST_CASE("the time axis has its ticks below their times") {
    const auto text = lines({run(1, {task(0, 0, 0, 100)})}, kFiftyCells);
    CHECK(text.at(2) == "        └┬" + [] {
        std::string line;
        for (int i = 1; i < 50; ++i) line += i == 25 ? "┬" : "─";
        return line;
    }() + "┘");
    CHECK(text.at(3) == "      µs 0" + std::string(24, ' ') + "50");
}

TEST_CASE("heads that share a key/value head have one character, products another") {
    const auto text = lines({run(1, {task(0, 0, 0, 40, 8), task(0, 8, 40, 80, 8), task(0, 0, 80, 100, 1, "matmul")})}, kFiftyCells);
    CHECK(cells(text.at(1)) == std::string(20, '0') + std::string(20, '1') + std::string(10, '='));
    CHECK(text.at(4) == "0-1: heads 0-15, 8 each   =: product   .: idle");
}

TEST_CASE("heads with gaps between them are named one by one") {
    CHECK(lines({run(1, {task(0, 3, 0, 50), task(0, 7, 50, 100)})}, 80).at(4) == "0: head 3   1: head 7   .: idle");
}

TEST_CASE("every head has a character, however many there are") {
    std::vector<Json> tasks;
    for (int head = 0; head < 200; ++head) tasks.push_back(task(0, head, head * 0.5, head * 0.5 + 0.5));
    const auto text = lines({run(1, tasks)}, 218);  // a cell for each head
    CHECK(cells(text.at(1)).substr(0, 9) == "000011112");
    CHECK(text.at(4) == "0-9: heads 0-39, 4 each   a-z: heads 40-143, 4 each   A-N: heads 144-199, 4 each   .: idle");
}

TEST_CASE("no line is wider than asked for") {
    std::vector<Json> tasks;
    for (int head = 0; head < 40; ++head) tasks.push_back(task(head % 12, 2 * head, head, head + 1.0));
    for (const int columns : {40, 41, 57, 80, 200}) {
        for (const std::string& line : lines({run(12, tasks, std::string(300, 'x')), run(1, {}, "größer")}, columns)) {
            CAPTURE(line);
            CHECK(characters(line) <= static_cast<std::size_t>(columns));
        }
    }
    CHECK(lines({run(1, {})}, 1) == lines({run(1, {})}, 40));
}

TEST_CASE("a name that is too long ends in an ellipsis, wide characters count twice") {
    CHECK(lines({run(1, {}, std::string(300, 'x'))}, 40).at(0) == "auto, 1 thread, 100 µs: " + std::string(15, 'x') + "…");
    CHECK(lines({run(1, {}, std::string(16, 'x'))}, 40).at(0) == "auto, 1 thread, 100 µs: " + std::string(16, 'x'));
    CHECK(lines({run(1, {}, "世界世界世界世界世界")}, 40).at(0) == "auto, 1 thread, 100 µs: 世界世界世界世…");
}

TEST_CASE("names cannot steer the terminal") {
    CHECK(lines({run(1, {}, "a\x1b[31mb\nc\u202ed\u009be")}, 80).at(0) ==
          "auto, 1 thread, 100 µs: a\\x1b[31mb\\x0ac\\u202ed\\x9be");
}

TEST_CASE("runs stand one below the other, an empty line between them") {
    const auto text = lines({run(1, {}, "first"), run(1, {}, "second")}, 80);
    REQUIRE(text.size() == 11);
    CHECK(text.at(5).empty());
    CHECK(text.at(6) == "auto, 1 thread, 100 µs: second");
}

TEST_CASE("what is no profile is refused") {
    for (const char* text :
         {"", "{}", "[]", R"({"schema": "headwise.compare/1", "runs": []})", R"({"schema": "headwise.profile/1"})"})
        CHECK_THROWS_WITH(profile_timeline(text, 80), "the profile is no JSON of the schema headwise.profile/1");
}
