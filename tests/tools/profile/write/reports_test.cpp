#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "profile/write/reports.hpp"
#include "tests/tools/profile/synthetic_recording.hpp"

using namespace headwise;
using namespace headwise::tools;
using headwise::tools::test::SyntheticRecording;

namespace {

ProfiledRun run_of(const Recording& recording, const Recording& one_thread) {
    return {.name = "attention:hq=2,\"odd\"",
            .operation = "attention",
            .schedule = AttentionSchedule::automatic,
            .repeats = 5,
            .recording = recording,
            .workers = worker_shares(recording),
            .heads = head_shares(recording),
            .metrics = metrics(recording, one_thread),
            .roofline = roofline(1e6, 1e4, recording.seconds, 100, 30),
            .what_if = what_if(one_thread_costs(one_thread), {}),
            .diagnosis = {"in plain words"}};
}

/// Twelve heads on one and on two workers.
ProfileReport example() {
    SyntheticRecording one(1, 120), two(2, 60);
    one.loop(0, 120);
    two.loop(0, 60);
    for (int i = 0; i < 12; ++i) {
        one.task(0, 10 * i, 10 * (i + 1), {.head = i});
        two.task(i % 2, 10 * (i / 2), 10 * (i / 2 + 1), {.head = i});
    }
    ProfileReport report;
    report.peaks.isa = Isa::scalar;
    report.peaks.multiply_add_gflops = {{1, 100}, {2, 200}};
    report.peaks.read_gigabytes = {{1, 30}, {2, 33}};
    report.counters = "hidden";
    report.runs = {run_of(one, one), run_of(two, one)};
    return report;
}

}  // namespace

TEST_CASE("the JSON has every task of every run, and null for what is unknown") {
    const auto json = nlohmann::json::parse(profile_json(example()));
    CHECK(json["schema"] == "headwise.profile/1");
    CHECK(json["machine"]["isa"] == "scalar");
    CHECK(json["machine"]["fma_gflops"]["2"] == 200);
    CHECK(json["machine"]["counters"] == "hidden");
    REQUIRE(json["runs"].size() == 2);
    const auto& one = json["runs"][0];
    const auto& two = json["runs"][1];
    CHECK(one["metrics"]["karp_flatt"].is_null());
    CHECK(one["metrics"]["ipc_scaling"].is_null());
    CHECK(two["metrics"]["speedup"].get<double>() == doctest::Approx(2));
    CHECK(two["tasks"].size() == 12);
    CHECK(two["tasks"][3]["head"] == 3);
    CHECK(two["tasks"][3]["start_us"].get<double>() == doctest::Approx(10));
    CHECK(two["tasks"][3]["kernel"] == "query-lanes");
    CHECK(two["heads"][5]["workers"] == nlohmann::json::array({1}));
    CHECK(two["workers"][1]["busy_us"].get<double>() == doctest::Approx(60));
    CHECK(two["loops"][0]["tasks"] == 12);
    CHECK(two["roofline"]["bound"] == "compute");
    CHECK(two["schedule"] == "auto");
    CHECK(two["what_if"].size() == 3 * 16);  // as many workers as heads are among the usual numbers
    CHECK(two["diagnosis"][0] == "in plain words");
}

TEST_CASE("each line of the CSV has as many fields as its header") {
    const std::string csv = profile_csv(example());
    CHECK(std::ranges::count(csv, '\n') == 3);
    const std::string header = csv.substr(0, csv.find('\n'));
    const auto fields = std::ranges::count(header, ',');
    CHECK(header.find("case,operation,threads,schedule,seconds,") == 0);
    std::size_t begin = header.size() + 1;
    for (int line = 0; line < 2; ++line) {
        const std::size_t end = csv.find('\n', begin);
        CHECK(std::ranges::count(csv.substr(begin, end - begin), ',') == fields + 1);  // one within the quotes
        begin = end + 1;
    }
    CHECK(csv.find("\n\"attention:hq=2,\"\"odd\"\"\",attention,2,auto,") != std::string::npos);
}

TEST_CASE("the text names the prediction beside the measurement and the slowest heads") {
    const ProfileReport report = example();
    const std::string text = profile_text(report.runs[1]);
    for (const char* part :
         {"2 threads", "schedule auto", "parallel 100.0 %", "predicted 2.00x (60.0 us), measured 2.00x (60.0 us)",
          "bound by arithmetic", "4 more", "in plain words"}) {
        CAPTURE(part);
        CHECK(text.find(part) != std::string::npos);
    }
    CHECK(text.find("INCOMPLETE") == std::string::npos);
    const std::string table = what_if_text(report.runs);
    for (const char* part : {"heads-queries", "auto", "12.00x"}) {
        CAPTURE(part);
        CHECK(table.find(part) != std::string::npos);
    }
}

TEST_CASE("the text says when tasks took less time than on one thread, and efficiencies exceed 100 %") {
    const std::string words = "computation scaling above 100 %: the tasks took less time in all than on one thread\n";
    ProfileReport report = example();
    Metrics& m = report.runs[1].metrics;
    for (const double scaling : {0.9, 1.0, 1.0004}) {
        m.computation_scaling = m.global_efficiency = scaling;
        CHECK(profile_text(report.runs[1]).find(words) == std::string::npos);
    }
    m.computation_scaling = m.global_efficiency = 1.25;
    const std::string text = profile_text(report.runs[1]);
    CHECK(text.find("global 125.0 % = parallel x computation scaling 125.0 %") != std::string::npos);
    CHECK(text.find(words) != std::string::npos);
}

TEST_CASE("the text says when records were dropped") {
    ProfileReport report = example();
    report.runs[0].recording.dropped = 7;
    CHECK(profile_text(report.runs[0]).find("INCOMPLETE  7 records") != std::string::npos);
}

TEST_CASE("a run that others disturbed is marked in text, JSON and CSV; one that was not says so") {
    ProfileReport report = example();
    report.runs[1].disturbance = 0.125;
    report.runs[0].attempts = report.runs[1].attempts = 3;
    CHECK(profile_text(report.runs[1])
              .find("  DISTURBED   other programs, or a slower core, cost at least 12.5 % of worker time; the least "
                    "disturbed of 3 "
                    "measurements\n") != std::string::npos);
    CHECK(profile_text(report.runs[0]).find("  repeated    the least disturbed of 3 measurements") != std::string::npos);
    CHECK(profile_text(report.runs[0]).find("DISTURBED") == std::string::npos);
    CHECK(profile_text(example().runs[0]).find("measurements") == std::string::npos);
    const auto json = nlohmann::json::parse(profile_json(report));
    CHECK(json["runs"][0]["disturbed"] == false);
    CHECK(json["runs"][0]["disturbance"] == 0);
    CHECK(json["runs"][0]["attempts"] == 3);
    CHECK(json["runs"][1]["disturbed"] == true);
    CHECK(json["runs"][1]["disturbance"] == 0.125);
    const std::string csv = profile_csv(report);
    CHECK(csv.find(",disturbed,disturbance,attempts\n") != std::string::npos);
    CHECK(csv.find(",false,0,3\n") != std::string::npos);
    CHECK(csv.ends_with(",true,0.125,3\n"));
}

TEST_CASE("schedules have the names of the command line") {
    for (const char* name : {"auto", "heads", "heads-queries"}) CHECK(schedule_name(schedule_from_name(name)) == name);
    CHECK_THROWS(schedule_from_name("automatic"));
}
