// What a profile tells of attention and of the loops beside it, and what schedules make of a call.
#include "headwise/profile.hpp"

#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "headwise/attention_weights.hpp"
#include "headwise/merge_states.hpp"
#include "headwise/rope.hpp"
#include "tests/attention/variant_call.hpp"

namespace headwise::test {
namespace {

// Lets oneTBB really start the threads that an arena asks for, however few cores there are.
const oneapi::tbb::global_control kEightThreads(oneapi::tbb::global_control::max_allowed_parallelism, 8);

constexpr AttentionSchedule kSchedules[] = {AttentionSchedule::automatic, AttentionSchedule::heads,
                                            AttentionSchedule::heads_queries};

// So few blocks of rows that chunks of keys become tasks; and more, with a sequence that has no queries.
const std::vector<SequenceSizes> kFewBlocks = {{1, 1600, 11}, {17, 1100, 12}};
const std::vector<SequenceSizes> kMoreBlocks = {{60, 70, 13}, {1, 1600, 11}, {0, 5, 14}, {3, 3, 14}, {130, 135, 15}};

std::vector<TaskRecord> tasks_of(const Profile& profile) {
    std::vector<TaskRecord> tasks;
    for (int worker = 0; worker < profile.workers(); ++worker)
        tasks.insert(tasks.end(), profile.tasks(worker).begin(), profile.tasks(worker).end());
    return tasks;
}

constexpr const char* kClearing = "clear padding";

/// The runs of attention itself.
std::vector<RunRecord> runs_of(const Profile& profile) {
    std::vector<RunRecord> runs(profile.runs().begin(), profile.runs().end());
    std::erase_if(runs, [](const RunRecord& run) { return run.operation == std::string(kClearing); });
    return runs;
}

/// The tasks of attention itself.
std::vector<TaskRecord> recorded(const VariantCall& call, Profile& profile) {
    const ProfileScope scope(profile);
    call.run();
    std::vector<TaskRecord> tasks = tasks_of(profile);
    std::erase_if(tasks, [](const TaskRecord& task) { return task.kernel == std::string("clear"); });
    return tasks;
}

double flops_of(const std::vector<TaskRecord>& tasks) {
    double sum = 0;
    for (const TaskRecord& task : tasks) sum += task.flops;
    return sum;
}

/// The tasks of a call are those that explain() announces, each once.
void check_tasks(const std::vector<TaskRecord>& tasks, const AttentionExplanation& explanation) {
    CHECK(std::ssize(tasks) == explanation.tasks);
    CHECK(flops_of(tasks) == doctest::Approx(explanation.flops).epsilon(1e-12));
    std::set<std::tuple<int, std::int64_t, std::int64_t, std::int64_t, std::int64_t>> names;
    double least = explanation.flops, most = 0;
    for (const TaskRecord& task : tasks) {
        names.insert({task.run, task.batch, task.head, task.row_block, task.column_block});
        CHECK(explanation.kernel.find(task.kernel) != std::string::npos);
        least = std::min(least, task.flops);
        most = std::max(most, task.flops);
    }
    CHECK(names.size() == tasks.size());
    CHECK(least == doctest::Approx(explanation.least_task_flops));
    CHECK(most == doctest::Approx(explanation.most_task_flops));
}

TEST_CASE("the tasks are those that explain() announces, and every schedule gives the same bits") {
    constexpr Packing kPackings[] = {Packing::padded, Packing::ragged, Packing::paged};
    std::size_t turn = 0;
    for (const Variants& variants : all_variants())
        for (const auto& sequences : {kFewBlocks, kMoreBlocks}) {
            VariantCall call(variants, sequences, {.packing = kPackings[turn++ % 3]});
            std::vector<float> expected;
            for (const int threads : {1, 3})
                for (const AttentionSchedule schedule : kSchedules) {
                    call.options.schedule = schedule;
                    INFO(call.text() << ", schedule " << static_cast<int>(schedule) << ", threads " << threads);
                    oneapi::tbb::task_arena arena(threads);
                    arena.execute([&] {
                        Profile profile;
                        const std::vector<TaskRecord> tasks = recorded(call, profile);
                        CHECK(profile.dropped() == 0);
                        const std::vector<RunRecord> runs = runs_of(profile);
                        REQUIRE(runs.size() == 1);
                        CHECK(runs[0].operation == std::string("attention"));
                        const AttentionExplanation e = AttentionPlan(call.shape, call.options).explain(call.arguments);
                        CHECK(runs[0].workers == e.workers);
                        check_tasks(tasks, e);
                        if (&sequences == &kFewBlocks)
                            CHECK(e.keys_split == (threads > 1 && schedule == AttentionSchedule::automatic));
                    });
                    const std::vector<float> results = call.results();
                    if (expected.empty()) expected = results;
                    CHECK(same_bits(results, expected));
                }
        }
}

TEST_CASE("shared keys are a run of their own, with tasks that explain() announces and the same bits") {
    const std::vector<SequenceSizes> sequences = {{1, 2800, 1}, {30, 2798, 2}, {0, 2800, 4}, {1, 3500, 3}, {100, 2900, 5}};
    const Variants kVariants[] = {{}, {.options = {.causal = Causal::bottom_right}, .sinks = true}};
    for (const Variants& variants : kVariants) {
        VariantCall call(variants, sequences, {.packing = Packing::paged, .page_size = 16, .shared_keys = 2768});
        std::vector<float> expected;
        for (const int threads : {1, 3})
            for (const AttentionSchedule schedule : kSchedules) {
                call.options.schedule = schedule;
                INFO(call.text() << ", schedule " << static_cast<int>(schedule) << ", threads " << threads);
                oneapi::tbb::task_arena arena(threads);
                arena.execute([&] {
                    Profile profile;
                    const std::vector<TaskRecord> tasks = recorded(call, profile);
                    const std::vector<RunRecord> runs = runs_of(profile);
                    REQUIRE(runs.size() == 2);
                    CHECK(runs[0].operation == std::string("attention, shared keys"));
                    CHECK(runs[1].operation == std::string("attention"));
                    if (schedule == AttentionSchedule::heads) CHECK(runs[0].tasks == call.shape.num_kv_heads);
                    check_tasks(tasks, AttentionPlan(call.shape, call.options).explain(call.arguments));
                });
                const std::vector<float> results = call.results();
                if (expected.empty()) expected = results;
                CHECK(same_bits(results, expected));
            }
    }
}

/// Pairs that positions allow, of one (query, head in group) row.
double pairs_of_row(const VariantCall& call, std::int64_t row) {
    const std::int64_t query = row / (call.shape.num_heads / call.shape.num_kv_heads);
    double pairs = 0;
    for (std::int64_t j = 0; j < call.sequences[0].keys; ++j) pairs += call.sees(0, 0, query, j);
    return pairs;
}

TEST_CASE("a task has the FLOPs of the pairs that its own rows may see, counted one by one") {
    for (const Causal causal : {Causal::none, Causal::top_left, Causal::bottom_right})
        for (const Window window : {Window{}, Window{.left = 70, .right = 30}, Window{.left = 5}})
            for (const bool prefix : {false, true})
                for (const auto& [queries, keys] : {std::pair<std::int64_t, std::int64_t>{150, 170}, {40, 1500}, {2, 1500}})
                    for (const AttentionSchedule schedule : kSchedules) {
                        const Variants variants{.options = {.causal = causal, .window = window, .schedule = schedule},
                                                .prefix = prefix};
                        // 3 heads a group: blocks of rows end within a query.
                        const VariantCall call(variants, {{queries, keys, 1}}, {.packing = Packing::padded},
                                               {.num_heads = 3, .num_kv_heads = 1, .head_dim = 20, .value_dim = 12});
                        INFO(call.text() << ", schedule " << static_cast<int>(schedule));
                        oneapi::tbb::task_arena arena(8);
                        arena.execute([&] {
                            Profile profile;
                            std::map<std::int64_t, double> flops;  // of a block, of all its chunks
                            for (const TaskRecord& task : recorded(call, profile)) flops[task.row_block] += task.flops;
                            const AttentionExplanation e = AttentionPlan(call.shape, call.options).explain(call.arguments);
                            const std::int64_t rows = 3 * queries,
                                               size = schedule == AttentionSchedule::heads ? rows : e.query_block;
                            CHECK(std::ssize(flops) == (rows + size - 1) / size);
                            for (const auto& [block, sum] : flops) {
                                double pairs = 0;
                                for (std::int64_t row = block * size; row < std::min((block + 1) * size, rows); ++row)
                                    pairs += pairs_of_row(call, row);
                                CHECK(sum == doctest::Approx(2 * (20 + 12) * pairs).epsilon(1e-12));
                            }
                        });
                    }
}

TEST_CASE("a task has the bytes of its rows and of the keys and values from the first to the last that these see") {
    oneapi::tbb::task_arena arena(1);
    arena.execute([] {
        const VariantCall plain({}, {{2, 300, 1}});  // 2 query heads a key/value head: 4 rows
        Profile profile;
        for (const TaskRecord& task : recorded(plain, profile)) CHECK(task.bytes == 4 * (20 + 12) * (4 + 300));
        const VariantCall window({.options = {.causal = Causal::bottom_right, .window = {.left = 9}}}, {{2, 300, 1}});
        profile.clear();
        for (const TaskRecord& task : recorded(window, profile)) CHECK(task.bytes == 4 * (20 + 12) * (4 + 11));
    });
}

TEST_CASE("rows that no sequence has are cleared in a run of their own, head by head") {
    const VariantCall call({}, {{70, 80, 1}, {1, 5, 2}}, {.packing = Packing::padded}, {.num_heads = 6, .num_kv_heads = 2});
    Profile profile;
    recorded(call, profile);
    REQUIRE(profile.runs().size() == 2);
    CHECK(profile.runs()[1].operation == std::string(kClearing));
    double bytes = 0;
    for (const TaskRecord& task : tasks_of(profile))
        if (task.run == 1) bytes += task.bytes;
    CHECK(bytes == 4.0 * 6 * (70 - 1) * static_cast<double>(call.shape.value_dim));
}

TEST_CASE("a task says whose heads it computes") {
    VariantCall call({}, {{70, 80, 1}, {1, 5, 2}}, {.packing = Packing::padded}, {.num_heads = 6, .num_kv_heads = 2});
    call.options.schedule = AttentionSchedule::heads;
    Profile profile;
    std::set<std::pair<std::int64_t, std::int64_t>> heads;
    for (const TaskRecord& task : recorded(call, profile)) {
        CHECK(task.heads == 3);
        CHECK(task.row_block == 0);
        CHECK(task.column_block == 0);
        CHECK(task.kernel == std::string(task.batch == 0 ? "query-lanes" : "key-rows"));
        heads.insert({task.batch, task.head});
    }
    CHECK(heads == std::set<std::pair<std::int64_t, std::int64_t>>{{0, 0}, {0, 3}, {1, 0}, {1, 3}});
}

TEST_CASE("whole heads or whole blocks keep no states of chunks") {
    const AttentionShape shape{.num_heads = 2, .num_kv_heads = 2, .query_length = 1, .key_length = 9000, .head_dim = 64};
    oneapi::tbb::task_arena arena(8);
    arena.execute([&] {
        const AttentionPlan automatic(shape), heads(shape, {.schedule = AttentionSchedule::heads}),
            blocks(shape, {.schedule = AttentionSchedule::heads_queries});
        CHECK(automatic.explain().keys_split);
        CHECK(automatic.explain().tasks > 2);
        for (const AttentionPlan* plan : {&heads, &blocks}) {
            CHECK_FALSE(plan->explain().keys_split);
            CHECK(plan->explain().tasks == 2);
            CHECK(plan->explain().workers <= 2);
            CHECK(plan->workspace_bytes() < automatic.workspace_bytes());
        }
    });
}

TEST_CASE("a schedule that is none is an error") {
    const AttentionShape shape{.query_length = 1, .key_length = 1, .head_dim = 8};
    const AttentionOptions options{.schedule = static_cast<AttentionSchedule>(7)};
    CHECK_THROWS_WITH(AttentionPlan(shape, options), "options.schedule is 7: not a value of AttentionSchedule");
}

TEST_CASE("weights, merged states and turned rows are recorded, too") {
    Profile profile({.workers = 8});
    const ProfileScope scope(profile);
    const auto floats = [](std::int64_t count) { return std::vector<float>(static_cast<std::size_t>(count), 0.5f); };
    std::vector<float> query = floats(2 * 4 * 10 * 8), key = floats(2 * 2 * 12 * 8), sums = floats(2 * 4 * 10),
                       weights = floats(2 * 4 * 10 * 12);
    AttentionArguments arguments;
    arguments.query = {query.data(), {2, 4, 10, 8}};
    arguments.key = {key.data(), {2, 2, 12, 8}};
    arguments.log_sum_exp = {sums.data(), {2, 4, 10}};
    AttentionWeights results;
    results.weights = {weights.data(), {2, 4, 10, 12}};
    attention_weights(arguments, {}, {}, results);
    REQUIRE(profile.runs().size() == 1);
    CHECK(profile.runs()[0].operation == std::string("attention weights"));
    CHECK(profile.runs()[0].tasks == 2 * 2);
    CHECK(flops_of(tasks_of(profile)) == 2 * 8 * (2 * 4 * 10 * 12));

    profile.clear();
    std::vector<float> a = floats(2 * 3 * 50 * 8), b = a, merged = a, a_sums = floats(2 * 3 * 50), b_sums = a_sums,
                       merged_sums = a_sums;
    const auto view = [](std::vector<float>& data) { return TensorView<float, 4>(data.data(), {2, 3, 50, 8}); };
    const auto sums_view = [](std::vector<float>& data) { return TensorView<float, 3>(data.data(), {2, 3, 50}); };
    merge_states({view(a), sums_view(a_sums)}, {view(b), sums_view(b_sums)}, view(merged), sums_view(merged_sums));
    REQUIRE(profile.runs().size() == 1);
    CHECK(profile.runs()[0].operation == std::string("merge states"));
    CHECK(flops_of(tasks_of(profile)) == 3 * 2 * 3 * 50 * 8);

    const RopeTable table({.dims = 8}, 64);
    CHECK(profile.runs().size() == 1);  // making a table is no call
    profile.clear();
    apply_rope(view(a), view(a), table, {}, 0);
    REQUIRE(profile.runs().size() == 1);
    CHECK(profile.runs()[0].operation == std::string("rope"));
    double bytes = 0;
    for (const TaskRecord& task : tasks_of(profile)) bytes += task.bytes;
    CHECK(bytes == 2 * 4 * (2 * 3 * 50 * 8));
}

}  // namespace
}  // namespace headwise::test
