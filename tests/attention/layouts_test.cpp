// Any strides, with no copy, and nothing read or written beyond the rows.
#include <doctest/doctest.h>

#include <vector>

#include "tests/support/attention_case.hpp"

namespace headwise::test {
namespace {

constexpr Guard kGuards[] = {Guard::below, Guard::above};
constexpr std::int64_t kQueryLengths[] = {1, 6, 40};

TEST_CASE("[batch, length, heads, dim], for each tensor alone and for all") {
    for (const std::int64_t queries : kQueryLengths)
        for (const Guard guard : kGuards)
            for (int which = 0; which <= 4; ++which) {
                AttentionCase c{
                    .shape =
                        {.batch = 2, .num_heads = 6, .num_kv_heads = 3, .query_length = queries, .key_length = 45, .head_dim = 19},
                    .guard = guard};
                if (which == 0 || which == 4) c.query = kBshd;
                if (which == 1 || which == 4) c.key = kBshd;
                if (which == 2 || which == 4) c.value = kBshd;
                if (which == 3 || which == 4) c.out = kBshd;
                check_attention(c);
            }
}

TEST_CASE("random orders of the dimensions, gaps, directions and broadcast axes") {
    RandomNumbers random(test_seed());
    for (int i = 0; i < 300; ++i)
        check_attention({.shape = {.batch = random.between(1, 3),
                                   .num_heads = 4,
                                   .num_kv_heads = random.one_of({1, 2, 4}),
                                   .query_length = random.one_of(kQueryLengths),
                                   .key_length = random.between(1, 130),
                                   .head_dim = random.between(1, 40),
                                   .value_dim = random.between(1, 40)},
                         .options = {.causal = random.one_of({Causal::none, Causal::top_left, Causal::bottom_right})},
                         .query = random_layout(random, true),
                         .key = random_layout(random, true),
                         .value = random_layout(random, true),
                         .out = random_layout(random, false),
                         .guard = random.one_of(kGuards),
                         .seed = random.bits()});
}

TEST_CASE("one packed buffer [batch, length, parts, heads, dim] of query, key, value and even out") {
    for (const std::int64_t length : {5, 70})
        for (const std::int64_t dim : {16, 33}) {
            const std::int64_t batch = 2, heads = 3, part = heads * dim, row = 4 * part;
            std::vector<float> packed(static_cast<std::size_t>(batch * length * row));
            RandomNumbers random(test_seed());
            for (float& x : packed) x = random.normal();
            const auto view = [&](std::int64_t index) {
                return TensorView<float, 4>(packed.data() + index * part, {batch, heads, length, dim}, {length * row, dim, row, 1});
            };
            CAPTURE(length);
            CAPTURE(dim);
            check_attention({view(0), view(1), view(2), view(3)}, {.causal = Causal::bottom_right});
        }
}

TEST_CASE("the first rows of a longer cache of keys and values") {
    const std::int64_t capacity = 200;
    for (const std::int64_t keys : {1, 17, 150, 200}) {
        AttentionTensors tensors(
            {.shape = {.num_heads = 4, .num_kv_heads = 2, .query_length = 1, .key_length = capacity, .head_dim = 24}});
        AttentionViews views = tensors.views();
        views.key.extent[2] = views.value.extent[2] = keys;
        CAPTURE(keys);
        check_attention(views, {.causal = Causal::bottom_right});
    }
}

TEST_CASE("the one-shot function gives the bits of a plan and a run") {
    for (const std::int64_t queries : kQueryLengths) {
        const AttentionCase c{
            .shape = {.batch = 2, .num_heads = 4, .num_kv_heads = 2, .query_length = queries, .key_length = 77, .head_dim = 20}};
        const AttentionTensors planned(c), one_shot(c);
        run_engine(planned.views(), c.options);
        attention(one_shot.query.view(), one_shot.key.view(), one_shot.value.view(), one_shot.out.view(), c.options);
        CHECK(bits_of(planned.out.view()) == bits_of(one_shot.out.view()));
    }
}

}  // namespace
}  // namespace headwise::test
