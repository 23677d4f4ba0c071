// Every mistake in a call is named: the argument, the value that it had, what was expected; and nothing has been written.
#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "engine/matmul/layout.hpp"
#include "tests/matmul/matmul_case.hpp"
#include "tests/support/error_message.hpp"

namespace headwise::test {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max(), kMin = std::numeric_limits<std::int64_t>::min();

/// What a call is given; each mistake changes something in it. The elements of c lie two apart from row to row.
template <std::size_t Rank>
struct Call {
    TensorView<const float, Rank> a, b;
    TensorView<float, Rank> c;
    MatmulOptions options{};
};

template <std::size_t Rank>
struct Mistake {
    std::function<void(Call<Rank>&)> make;
    std::vector<std::string> parts;
};

MatmulCase sound_case(Form form) {
    MatmulCase c{.m = 3, .n = 6, .k = 5, .form = form};
    if (form == Form::batch) c.batch = 2;
    c.c.gap[2] = 2;
    return c;
}

// Mistakes in a and c that both overloads for single products refuse.
const Mistake<2> kMatrixMistakes[] = {
    {[](auto& x) { x.a.extent[0] = -1; }, {"a.extent[0] is -1", "negative"}},
    {[](auto& x) { x.a.extent[1] = -5; }, {"a.extent[1] is -5", "negative"}},
    {[](auto& x) { x.c.extent[1] = -6; }, {"c.extent[1] is -6", "negative"}},
    {[](auto& x) { x.a.data = nullptr; }, {"a.data is null"}},
    {[](auto& x) { x.c.data = nullptr; }, {"c.data is null"}},
    {[](auto& x) { x.a.stride[0] = kMax / 2; }, {"a.extent[0] is 3", "a.stride[0] is 4611686018427387903", "64 bits"}},
    {[](auto& x) { x.a.stride[0] = kMin; }, {"a.stride[0] is -9223372036854775808", "64 bits"}},
    {[](auto& x) { x.c.stride[0] = kMax / 8; }, {"c.extent[0] is 3", "c.stride[0] is", "64 bits"}},
    {[](auto& x) { x.a.extent[0] = kMax; }, {"a.extent[0] is 9223372036854775807", "64 bits"}},
    {[](auto& x) { x.a.extent[1] = 4; }, {".extent[", "4", "5"}},
    {[](auto& x) { x.c.extent[0] = 2; }, {"c.extent[0] is 2", "expected 3", "rows of a"}},
    {[](auto& x) { x.c.extent[0] = 0; }, {"c.extent[0] is 0", "expected 3", "rows of a"}},
    {[](auto& x) { x.c.extent[1] = 7; }, {"c.extent[1] is 7", "expected 6"}},
    {[](auto& x) { x.a.stride = {10, 2}; }, {"a.stride is 10 by 2", "adjacent"}},
    {[](auto& x) { x.a.stride[1] = 0; }, {"a.stride is 5 by 0", "adjacent"}},
    {[](auto& x) { x.a.stride[1] = -1; }, {"a.stride is 5 by -1", "adjacent"}},
    {[](auto& x) { x.c.stride[1] = 2; }, {"c.stride[1] is 2", "stride 1"}},
    {[](auto& x) { x.c.stride = {1, 3}; }, {"c.stride[1] is 3", "stride 1"}},
    {[](auto& x) { x.c.stride[0] = 0; }, {"c.stride[0] is 0", "must not overlap"}},
    {[](auto& x) { x.c.stride[0] = 5; }, {"c.stride[0] is 5", "must not overlap", "at least 6"}},
    {[](auto& x) { x.c.stride[0] = -5; }, {"c.stride[0] is -5", "must not overlap", "at least 6"}},
    {[](auto& x) { x.a.data = x.c.data; }, {"c overlaps a", "must not be read"}},
    {[](auto& x) { x.a.data = x.c.data + 21; }, {"c overlaps a"}},
    {[](auto& x) { x.options.max_threads = -1; }, {"options.max_threads is -1", "expected 0"}},
    {[](auto& x) { x.options.epilogue.activation = static_cast<Activation>(5); }, {"activation is 5", "Activation"}},
    {[](auto& x) { x.options.epilogue.activation = static_cast<Activation>(-1); }, {"activation is -1", "Activation"}},
    {[](auto& x) { x.options.epilogue.bias = x.c.data; }, {"c overlaps options.epilogue.bias"}},
    {[](auto& x) { x.options.epilogue.bias = x.c.data - 5; }, {"c overlaps options.epilogue.bias"}},
    {[](auto& x) { x.options.epilogue.bias = x.c.data + 21; }, {"c overlaps options.epilogue.bias"}},
    {[](auto& x) { x.options.epilogue.residual = {x.a.data, {2, 6}}; },
     {"options.epilogue.residual.extent[0] is 2", "expected 3", "rows of c"}},
    {[](auto& x) { x.options.epilogue.residual = {x.a.data, {3, 5}}; },
     {"options.epilogue.residual.extent[1] is 5", "expected 6", "columns of c"}},
    {[](auto& x) { x.options.epilogue.residual = {x.a.data, {-3, 6}}; }, {"options.epilogue.residual.extent[0] is -3", "negative"}},
    {[](auto& x) { x.options.epilogue.residual = {x.a.data, {3, 6}, {kMax / 3, 1}}; },
     {"options.epilogue.residual.stride[0] is", "64 bits"}},
    {[](auto& x) { x.options.epilogue.residual = {x.a.data, {3, 6}, {1, 3}}; },
     {"options.epilogue.residual.stride[1] is 3", "stride 1"}},
    {[](auto& x) { x.options.epilogue.residual = {x.c.data + 1, x.c.extent, x.c.stride}; },
     {"c overlaps options.epilogue.residual"}},
    {[](auto& x) { x.options.epilogue.residual = {x.c.data, x.c.extent, {7, 1}}; }, {"c overlaps options.epilogue.residual"}},
    {[](auto& x) { x.options.epilogue.residual = {x.c.data, x.c.extent, {0, 1}}; }, {"c overlaps options.epilogue.residual"}},
};

const Mistake<2> kRightHandMistakes[] = {
    {[](auto& x) { x.b.extent[1] = -6; }, {"b.extent[1] is -6", "negative"}},
    {[](auto& x) { x.b.data = nullptr; }, {"b.data is null"}},
    {[](auto& x) { x.b.stride[0] = kMin; }, {"b.stride[0] is -9223372036854775808", "64 bits"}},
    {[](auto& x) { x.b.extent[0] = 4; }, {"b.extent[0] is 4", "expected 5", "columns of a"}},
    {[](auto& x) { x.b.extent[1] = 5; }, {"c.extent[1] is 6", "expected 5", "columns of b"}},
    {[](auto& x) { x.b.stride = {12, 2}; }, {"b.stride is 12 by 2", "adjacent"}},
    {[](auto& x) { x.b.stride = {-1, -5}; }, {"b.stride is -1 by -5", "adjacent"}},
    {[](auto& x) { x.b.data = x.c.data; }, {"c overlaps b", "must not be read"}},
    {[](auto& x) { x.b.data = x.c.data - 29; }, {"c overlaps b"}},
};

const Mistake<3> kBatchMistakes[] = {
    {[](auto& x) { x.a.extent[0] = -2; }, {"a.extent[0] is -2", "negative"}},
    {[](auto& x) { x.b.extent[0] = 1; }, {"b.extent[0] is 1", "expected 2", "number of products"}},
    {[](auto& x) { x.b.extent[0] = 0; }, {"b.extent[0] is 0", "expected 2", "number of products"}},
    {[](auto& x) { x.c.extent[0] = 3; }, {"c.extent[0] is 3", "expected 2", "number of products"}},
    {[](auto& x) { x.b.extent[1] = 4; }, {"b.extent[1] is 4", "expected 5", "columns of a"}},
    {[](auto& x) { x.c.extent[1] = 2; }, {"c.extent[1] is 2", "expected 3", "rows of a"}},
    {[](auto& x) { x.c.extent[2] = 5; }, {"c.extent[2] is 5", "expected 6", "columns of b"}},
    {[](auto& x) { x.a.stride[0] = kMax; }, {"a.extent[0] is 2", "a.stride[0] is 9223372036854775807", "64 bits"}},
    {[](auto& x) { x.a.stride[2] = 2; }, {"a.stride is 5 by 2", "adjacent"}},
    {[](auto& x) { x.b.stride[2] = 3; }, {"b.stride is 6 by 3", "adjacent"}},
    {[](auto& x) { x.c.stride[2] = 2; }, {"c.stride[2] is 2", "stride 1"}},
    {[](auto& x) { x.c.stride[0] = 0; }, {"c.stride[0] is 0", "must not overlap"}},
    {[](auto& x) { x.c.stride[0] = 17; }, {"c.stride[0] is 17", "must not overlap"}},
    {[](auto& x) { x.a.data = x.c.data; }, {"c overlaps a"}},
    {[](auto& x) { x.b.data = x.c.data; }, {"c overlaps b"}},
    {[](auto& x) { x.options.max_threads = -7; }, {"options.max_threads is -7"}},
    {[](auto& x) { x.options.epilogue.activation = static_cast<Activation>(99); }, {"activation is 99"}},
    {[](auto& x) { x.options.epilogue.bias = x.c.data + 30; }, {"c overlaps options.epilogue.bias"}},
    {[](auto& x) { x.options.epilogue.residual = {x.a.data, {3, 6}}; }, {"options.epilogue.residual.data is not null", "batch"}},
};

/// Makes the mistake in a sound call of `form`, hands it to `run`.
template <std::size_t Rank, class Run>
void check_refused(Form form, const Mistake<Rank>& mistake, const Run& run) {
    const MatmulTensors tensors(sound_case(form));
    Call<Rank> call;
    if constexpr (Rank == 3)
        call = {tensors.a_view(), tensors.b_view(), tensors.c_view()};
    else
        call = {matrix(tensors.a_view(), 0), matrix(tensors.b_view(), 0), matrix(tensors.c_view(), 0)};
    mistake.make(call);
    check_message(message_of([&] { run(call); }), mistake.parts);
    CHECK(tensors.c.untouched());
}

TEST_CASE("the calls are sound before a mistake is made") {
    for (const Form form : {Form::matrix, Form::packed, Form::batch}) CHECK_NOTHROW(check_matmul(sound_case(form)));
}

TEST_CASE("a product of two matrices that does not fit together") {
    const auto run = [](const Call<2>& x) { matmul(x.a, x.b, x.c, x.options); };
    for (const auto& mistake : kMatrixMistakes) check_refused(Form::matrix, mistake, run);
    for (const auto& mistake : kRightHandMistakes) check_refused(Form::matrix, mistake, run);
}

TEST_CASE("a product with a packed matrix that does not fit together") {
    for (const auto& mistake : kMatrixMistakes)
        check_refused(Form::packed, mistake, [](const Call<2>& x) { matmul(x.a, PackedMatrix(x.b), x.c, x.options); });
}

TEST_CASE("a batch of products that does not fit together") {
    for (const auto& mistake : kBatchMistakes)
        check_refused(Form::batch, mistake, [](const Call<3>& x) { matmul(x.a, x.b, x.c, x.options); });
}

TEST_CASE("an empty packed matrix, constructed so or moved from") {
    const PackedMatrix empty;
    check_refused<2>(Form::packed, {[](auto&) {}, {"b is an empty PackedMatrix", "construct it"}},
                     [&](const Call<2>& x) { matmul(x.a, empty, x.c, x.options); });
    check_refused<2>(Form::packed, {[](auto&) {}, {"b is an empty PackedMatrix", "moved from"}}, [&](const Call<2>& x) {
        PackedMatrix packed(x.b);
        const PackedMatrix taken(std::move(packed));
        matmul(x.a, packed, x.c, x.options);  // NOLINT(bugprone-use-after-move)
    });
}

TEST_CASE("a matrix that cannot be packed") {
    const std::vector<float> data(30);
    const auto message = [&](const TensorView<const float, 2>& b) { return message_of([&] { PackedMatrix packed(b); }); };
    check_message(message({data.data(), {-1, 3}}), {"b.extent[0] is -1", "negative"});
    check_message(message({nullptr, {5, 6}}), {"b.data is null"});
    check_message(message({data.data(), {5, 6}, {kMax / 4, 1}}), {"b.stride[0] is", "64 bits"});
    check_message(message({data.data(), {3, 3}, {6, 2}}), {"b.stride is 6 by 2", "adjacent"});
    // These repeat a few elements so often that the addresses fit and the copy does not.
    constexpr std::int64_t kMany = std::int64_t{1} << 57;
    check_message(message({data.data(), {kMany, 30}, {0, 1}}), {"b is 144115188075855872 x 30", "packed copy exceeds 64 bits"});
    check_message(message({data.data(), {30, kMany}, {1, 0}}), {"b is 30 x 144115188075855872", "packed copy exceeds 64 bits"});
    check_message(message({data.data(), {kMax, 30}, {0, 1}}), {"b is 9223372036854775807 x 30", "packed copy exceeds 64 bits"});
}

}  // namespace
}  // namespace headwise::test
