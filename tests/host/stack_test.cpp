// Calls from threads with little stack, as those of coroutines, language runtimes and handlers have.
#include <doctest/doctest.h>
#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "headwise/headwise.hpp"
#include "tests/host/attention_inputs.hpp"

namespace headwise::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kMost = std::size_t{4} << 20;  // a sanitizer's frames are many times as large
#else
constexpr std::size_t kMost = std::size_t{64} << 10;  // what docs/embedding.md promises
#endif

/// Bytes of stack that the call takes on a thread of its own, what the system has there for itself among them.
std::size_t stack_of(const std::function<void()>& call) {
    constexpr std::size_t kSize = std::size_t{8} << 20;
    constexpr unsigned char kUntouched = 0xa5;
    void* memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    std::memset(memory, kUntouched, kSize);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    REQUIRE(pthread_attr_setstack(&attributes, memory, kSize) == 0);
    pthread_t thread;
    const auto start = [](void* function) -> void* {
        (*static_cast<const std::function<void()>*>(function))();
        return nullptr;
    };
    REQUIRE(pthread_create(&thread, &attributes, start, const_cast<std::function<void()>*>(&call)) == 0);
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&attributes);
    const auto* bytes = static_cast<const unsigned char*>(memory);
    const unsigned char* deepest = std::find_if(bytes, bytes + kSize, [](unsigned char x) { return x != kUntouched; });
    const std::size_t used = static_cast<std::size_t>(bytes + kSize - deepest);
    munmap(memory, kSize);
    return used;
}

TEST_CASE("every call fits a stack of 64 KiB") {
    const SmallAttention small;
    std::vector<float> out(small.query.size()), log_sum_exp(static_cast<std::size_t>(small.kHeads * small.kLength));
    std::vector<float> weights(static_cast<std::size_t>(small.kHeads * small.kLength * small.kLength));
    const auto check = [](const std::string& name, const std::function<void()>& call) {
        const std::size_t used = stack_of(call);
        CAPTURE(name);
        CAPTURE(used);
        CHECK(used <= kMost);
        MESSAGE(name, " takes ", used, " bytes of stack");
    };
    const RopeTable table({.dims = 64}, 4096);
    AttentionArguments arguments = small.arguments(out);
    arguments.log_sum_exp = {log_sum_exp.data(), {1, small.kHeads, small.kLength}};
    check("attention", [&] { attention(arguments, {.causal = Causal::bottom_right, .softcap = 20, .rope = &table}); });
    check("attention of one query", [&] {
        AttentionArguments one = small.arguments(out);
        one.query.extent[2] = one.out.extent[2] = 1;
        attention(one);
    });
    check("explain", [&] { AttentionPlan(small.shape()).explain().text(); });
    check("an error", [&] {
        try {
            AttentionPlan({.head_dim = -1});
        } catch (const Error&) {
        }
    });
    check("attention_weights", [&] {
        attention_weights(arguments, {}, {}, {.weights = {weights.data(), {1, small.kHeads, small.kLength, small.kLength}}});
    });
    check("merge_states", [&] {
        const AttentionState state{arguments.out, arguments.log_sum_exp};
        merge_states(state, state, arguments.out, arguments.log_sum_exp);
    });
    check("apply_rope", [&] { apply_rope(arguments.query, arguments.out, table); });
    const TensorView<const float, 2> a(small.query.data(), {256, 512}), b(small.key.data(), {512, 512});
    check("matmul", [&] { matmul(a, b, {out.data(), {256, 512}}); });
    check("matmul with a transposed b", [&] { matmul(a, transposed(b), {out.data(), {256, 512}}); });
    check("packing and matmul", [&] { matmul(a, PackedMatrix(b), {out.data(), {256, 512}}); });
    check("the layer", [&] {
        const TensorView<const float, 2> weight(small.query.data(), {512, 512}), qkv(small.key.data(), {512, 512});
        const MultiHeadAttention layer({.num_heads = 8, .num_kv_heads = 8, .head_dim = 64},
                                       {.query = weight, .key = qkv, .value = qkv, .output = weight});
        layer.forward({small.value.data(), {1, 128, 512}}, {out.data(), {1, 128, 512}});
    });
    check("KvCache::append", [&] {
        KvCache cache({.num_kv_heads = 8, .head_dim = 64, .pages = 64}, &table);
        const SequenceId sequence = cache.add_sequence();
        const TensorView<const float, 3> tokens(small.key.data(), {8, 512, 64});
        cache.append(sequence, tokens, tokens);
        cache.make_batch({&sequence, 1});
    });
}

}  // namespace
}  // namespace headwise::test
