// Callers that trap INVALID, OVERFLOW and DIVBYZERO: on finite inputs no call traps, on no thread. Each test runs its calls in a
// child of its own, which SIGFPE ends where one does. This process uses no worker itself, or its children would have none
// (fork_test.cpp).
#include <doctest/doctest.h>
#include <fenv.h>  // feenableexcept()
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "tests/host/attention_inputs.hpp"
#include "tests/host/variant_calls.hpp"

namespace headwise::test {
namespace {

constexpr int kTrapped = FE_INVALID | FE_OVERFLOW | FE_DIVBYZERO;
constexpr int kThreads = 4;

/// What a child is at, for its parent to read when it has ended.
class Note {
  public:
    Note() : text_(static_cast<char*>(mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
        REQUIRE(text_ != MAP_FAILED);
    }
    ~Note() { munmap(text_, kSize); }
    Note(const Note&) = delete;
    Note& operator=(const Note&) = delete;

    void write(const std::string& text) const {
        std::memcpy(text_, text.c_str(), std::min(text.size() + 1, kSize));
        text_[kSize - 1] = 0;
    }
    std::string text() const { return text_; }

  private:
    static constexpr std::size_t kSize = 4096;
    char* text_;
};

[[noreturn]] void fail(const Note& note, const std::string& text) {
    note.write(text);
    _exit(1);
}

/// While it lives the calling thread traps.
struct Traps {
    Traps() { feenableexcept(kTrapped); }
    ~Traps() { fedisableexcept(kTrapped); }
    Traps(const Traps&) = delete;
    Traps& operator=(const Traps&) = delete;
};

bool has_traps() {
    const bool enabled = feenableexcept(kTrapped) != -1;
    fedisableexcept(kTrapped);
    return enabled;
}

/// How a child ended: "" well, "SIGFPE" by a trap, or in some other way.
template <class Function>
std::string end_of_child(const Function& function) {
    const pid_t child = fork();
    if (child == 0) {
        std::signal(SIGFPE, SIG_DFL);
        const tbb::global_control allow_threads(tbb::global_control::max_allowed_parallelism, kThreads);  // with fewer cores, too
        function();
        _exit(0);
    }
    int status = -1;
    REQUIRE(child > 0);
    REQUIRE(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGFPE) return "SIGFPE";
    return status == 0 ? "" : "status " + std::to_string(status);
}

/// function(note) in a child, whose calls are made with traps in an arena of one thread and in one of several.
template <class Function>
void check_no_trap(const Function& function) {
    if (!has_traps()) {
        MESSAGE("skipped: this processor does not trap");
        return;
    }
    for (const int threads : {1, kThreads}) {
        const Note note;
        const std::string end = end_of_child([&] {
            tbb::task_arena arena(threads);
            arena.execute([&] { function(note, threads); });
        });
        CAPTURE(threads);
        INFO(note.text());
        CHECK(end == "");
    }
}

TEST_CASE("attention with every variant, prefill and decode, its chunks of keys merged") {
    check_no_trap([](const Note& note, int threads) {
        for_variant_calls([&](const VariantCall& call) {
            note.write(call.text());
            const AttentionExplanation e = AttentionPlan(call.shape, call.options).explain(call.arguments);
            if (e.key_chunks < 2 || (e.workers > 1) != (threads > 1)) fail(note, call.text() + ": " + e.text());
            const Traps traps;
            call.run();
        });
    });
}

TEST_CASE("prefill of whole blocks") {
    check_no_trap([](const Note& note, int) {
        const SmallAttention small;
        std::vector<float> out(small.query.size());
        for (const Causal causal : {Causal::none, Causal::top_left, Causal::bottom_right}) {
            note.write("causal " + std::to_string(static_cast<int>(causal)));
            const Traps traps;
            attention(small.arguments(out), {.causal = causal});
        }
    });
}

TEST_CASE("attention_weights, with and without a log-sum-exp") {
    constexpr std::int64_t kTop = 3;
    check_no_trap([](const Note& note, int) {
        for_variant_calls([&](const VariantCall& call) {
            const std::int64_t batch = call.shape.batch, heads = call.shape.num_heads, queries = call.shape.query_length,
                               keys = call.shape.key_length;
            const auto floats = [](std::int64_t count) { return std::vector<float>(static_cast<std::size_t>(count)); };
            std::vector<float> weights = floats(batch * heads * queries * keys), means = floats(batch * heads * keys),
                               top = floats(batch * heads * queries * kTop);
            std::vector<std::int32_t> top_keys(top.size());
            const AttentionWeights results{.weights = {weights.data(), {batch, heads, queries, keys}},
                                           .top_weights = {top.data(), {batch, heads, queries, kTop}},
                                           .top_keys = {top_keys.data(), {batch, heads, queries, kTop}},
                                           .key_means = {means.data(), {batch, heads, keys}}};
            call.run();
            AttentionArguments arguments = call.arguments;
            for (const bool given : {true, false}) {
                note.write(call.text() + (given ? ", log-sum-exp given" : ""));
                if (!given) arguments.log_sum_exp = {};
                const Traps traps;
                attention_weights(arguments, call.options, {}, results);
            }
        });
    });
}

TEST_CASE("products, with every activation") {
    constexpr Activation kActivations[] = {Activation::none, Activation::relu, Activation::gelu_erf, Activation::silu,
                                           Activation::gelu_tanh};
    check_no_trap([&](const Note& note, int) {
        for (const std::int64_t size : {1, 5, 17, 64, 131, 400})
            for (const Activation activation : kActivations)
                for (const float magnitude : {0.0f, 1.0f, 1e4f, 1e20f}) {
                    note.write("size " + std::to_string(size) + ", activation " + std::to_string(static_cast<int>(activation)) +
                               ", magnitude " + std::to_string(magnitude));
                    std::vector<float> a = random_floats(size * size, 1), c(a.size(), kNan);
                    const std::vector<float> b = random_floats(size * size, 2), bias = random_floats(size, 3);
                    for (float& x : a) x *= magnitude;
                    const MatmulOptions options{.epilogue = {.bias = bias.data(), .activation = activation}};
                    const TensorView<const float, 2> left(a.data(), {size, size}), right(b.data(), {size, size});
                    const TensorView<float, 2> product(c.data(), {size, size});
                    const Traps traps;
                    matmul(left, right, product, options);
                    matmul(left, transposed(right), product, options);
                    matmul(left, PackedMatrix(transposed(right)), product, options);
                }
    });
}

TEST_CASE("the layer, and rotating") {
    constexpr std::int64_t kModel = 128, kDim = 32, kBatch = 2;
    check_no_trap([](const Note& note, int) {
        const std::vector<float> weight = random_floats(kModel * kModel, 1);
        const TensorView<const float, 2> view(weight.data(), {kModel, kModel});
        for (const std::int64_t length : {1, 7, 300}) {
            note.write("length " + std::to_string(length));
            std::vector<float> x = random_floats(kBatch * length * kModel, 2), out(x.size());
            const Traps traps;
            const RopeTable rope({.dims = kDim}, length);
            const MultiHeadAttention layer({.num_heads = kModel / kDim, .num_kv_heads = kModel / kDim, .head_dim = kDim},
                                           {.query = view, .key = view, .value = view, .output = view},
                                           {.causal = Causal::bottom_right, .rope = &rope});
            layer.forward({x.data(), {kBatch, length, kModel}}, TensorView<float, 3>(out.data(), {kBatch, length, kModel}));
            const TensorView<float, 4> heads = bshd(x.data(), kBatch, length, kModel / kDim, kDim);
            apply_rope(heads, heads, rope);
        }
    });
}

TEST_CASE("merge_states, where one side or both have seen nothing as well") {
    constexpr std::int64_t kHeads = 8, kRows = 500, kDim = 24;
    check_no_trap([](const Note& note, int) {
        const std::vector<float> a = random_floats(kHeads * kRows * kDim, 1), b = random_floats(kHeads * kRows * kDim, 2);
        std::vector<float> out(a.size()), sums(kHeads * kRows);
        const auto state = [](const std::vector<float>& x, const std::vector<float>& s) {
            return AttentionState{bhsd<const float>(x.data(), 1, kHeads, kRows, kDim), {s.data(), {1, kHeads, kRows}}};
        };
        const float seen[] = {-kInfinity, -1e30f, -100.0f, 0.0f, 3.0f, 1e30f};
        for (const float sum_a : seen)
            for (const float sum_b : seen) {
                note.write("log-sum-exp " + std::to_string(sum_a) + " and " + std::to_string(sum_b));
                const std::vector<float> sums_a(sums.size(), sum_a), sums_b(sums.size(), sum_b);
                const Traps traps;
                merge_states(state(a, sums_a), state(b, sums_b), bhsd<float>(out.data(), 1, kHeads, kRows, kDim),
                             {sums.data(), {1, kHeads, kRows}});
            }
    });
}

TEST_CASE("a trap ends the child: logits that float cannot hold") {
    if (!has_traps()) return;
    const std::string end = end_of_child([] {
        SmallAttention small;
        for (float& x : small.query) x *= 1e20f;
        for (float& x : small.key) x *= 1e20f;
        std::vector<float> out(small.query.size());
        const Traps traps;
        attention(small.arguments(out));
    });
    CHECK(end == "SIGFPE");
}

/// Overflows on every thread but the caller's.
struct OverflowElsewhere {
    std::thread::id caller;

    template <class T>
    T operator()(T score, std::int64_t, std::int64_t, std::int64_t, std::int64_t) const {
        volatile float x = 1e30f;
        if (std::this_thread::get_id() != caller) x = x * x;
        return score;
    }
};

TEST_CASE("a trap on a worker ends the child too") {
    if (!has_traps()) return;
    const std::string end = end_of_child([] {
        const SmallAttention small;
        std::vector<float> out(small.query.size());
        const OverflowElsewhere function{std::this_thread::get_id()};
        AttentionArguments arguments = small.arguments(out);
        arguments.score_function = score_function(function);
        tbb::task_arena arena(kThreads);  // in the usual modes, so that its workers do not inherit others
        arena.execute([&] {
            const Traps traps;
            for (int i = 0; i < 100; ++i) attention(arguments);  // until a worker takes part
        });
    });
    CHECK(end == "SIGFPE");
}

}  // namespace
}  // namespace headwise::test
