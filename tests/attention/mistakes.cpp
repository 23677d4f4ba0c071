#include "tests/attention/mistakes.hpp"

#include <algorithm>
#include <cstring>
#include <deque>

#include "tests/support/error_message.hpp"

namespace headwise::test {
namespace {

/// The bytes of a contiguous tensor.
template <class T, std::size_t Rank>
std::vector<std::byte> bytes_of(const TensorView<T, Rank>& view) {
    std::size_t size = sizeof(T);
    for (const std::int64_t extent : view.extent) size *= static_cast<std::size_t>(extent);
    std::vector<std::byte> bytes(size);
    std::memcpy(bytes.data(), view.data, size);
    return bytes;
}

}  // namespace

void check_mistakes(const std::vector<SequenceSizes>& sequences, const Placing& placing, std::span<const Mistake> mistakes) {
    const Variants& everything = all_variants().back();
    CHECK(message_of([&] { VariantCall(everything, sequences, placing).run(); }) == kNoError);
    for (const Mistake& mistake : mistakes) {
        VariantCall call(everything, sequences, placing);
        const TensorView<float, 4> out = call.arguments.out;
        const TensorView<float, 3> log_sum_exp = call.arguments.log_sum_exp;
        mistake.make(call);
        const auto out_before = bytes_of(out), sums_before = bytes_of(log_sum_exp);
        const std::string message = message_of([&] { call.run(); });
        check_message(message, mistake.parts);
        INFO(message);
        CHECK(bytes_of(out) == out_before);
        CHECK(bytes_of(log_sum_exp) == sums_before);
    }
}

std::span<const std::int32_t> integers(std::initializer_list<std::int32_t> numbers) {
    static std::deque<std::vector<std::int32_t>> all;
    return all.emplace_back(numbers);
}

}  // namespace headwise::test
