#include <string>

#include "engine/contract/argument_list.hpp"
#include "engine/contract/check_arguments.hpp"
#include "engine/contract/check_numbers.hpp"
#include "engine/contract/check_shape.hpp"
#include "engine/contract/sequences.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

/// Checks the number of each sequence, if they are given.
template <class T>
void check_each(const char* name, std::span<const T> numbers, std::int64_t batch, std::int64_t low, std::int64_t high,
                const char* meaning) {
    if (numbers.empty()) return;
    check_size(name, numbers.size(), batch, "one for each sequence of the batch");
    for (std::int64_t b = 0; b < batch; ++b) check_range(name, b, numbers[static_cast<std::size_t>(b)], low, high, meaning);
}

void check_sums(const char* name, const PrefixSums& sums, std::int64_t batch, std::int64_t total, std::int64_t longest,
                const char* total_name) {
    check_size(name, sums.size(), batch + 1, "0 and one sum for each sequence of the batch");
    if (sums[0] != 0) throw Error(at(name, 0) + " is " + std::to_string(sums[0]) + ": the sums begin with 0");
    for (std::int64_t b = 0; b < batch; ++b) {
        const std::int64_t sum = sums[static_cast<std::size_t>(b)], next = sums[static_cast<std::size_t>(b) + 1];
        if (next < sum)
            throw Error(at(name, b + 1) + " is " + std::to_string(next) + ", " + at(name, b) + " is " + std::to_string(sum) +
                        ": the sums must not fall");
        if (next > total)
            throw Error(at(name, b + 1) + " is " + std::to_string(next) + ", " + total_name + " is " + std::to_string(total) +
                        ": the sums end with the total");
        if (next - sum > longest)
            throw Error(at(name, b + 1) + " is " + std::to_string(next) + ", " + at(name, b) + " is " + std::to_string(sum) +
                        ": a sequence may have at most " + std::to_string(longest) + " tokens, as planned");
    }
    const std::int64_t last = sums[static_cast<std::size_t>(batch)];
    if (last != total)
        throw Error(at(name, batch) + " is " + std::to_string(last) + ", " + total_name + " is " + std::to_string(total) +
                    ": the sums end with the total");
}

}  // namespace

void check_length_arguments(const AttentionArguments& a) {
    for_each_rule(a, [](const Argument& argument, const auto& x) {
        if (is_given(x) && !as_any(x).data) throw Error(std::string(argument.name) + ".data is null: expected its elements");
    });
    if (is_ragged(a) && !a.query_lengths.empty())
        throw Error("query_lengths and cumulative_query_lengths are both given: expected one of them");
    if (!a.key_lengths.empty() && !a.cumulative_key_lengths.empty())
        throw Error("key_lengths and cumulative_key_lengths are both given: expected one of them");
    const bool has_sequences = is_ragged(a) ? a.cumulative_query_lengths.size() > 1 : a.query.extent[0] > 0;
    if (is_paged(a) && a.key_lengths.empty() && has_sequences)
        throw Error("key_lengths is empty: page_table needs it, one number of keys per sequence");
    if (is_ragged(a) && !is_paged(a) && a.cumulative_key_lengths.empty())
        throw Error("cumulative_key_lengths is empty: packed queries need packed keys (or page_table with key_lengths)");
    if (!is_ragged(a) && !a.cumulative_key_lengths.empty())
        throw Error("cumulative_query_lengths is empty: packed keys need packed queries");
    if (a.shared_keys != 0 && !a.cumulative_key_lengths.empty())
        throw Error("shared_keys is " + std::to_string(a.shared_keys) +
                    " and cumulative_key_lengths is given: packed keys cannot have a common prefix");
}

void check_lengths(const AttentionShape& shape, const AttentionOptions& options, const AttentionArguments& a) {
    if (is_ragged(a)) {
        check_sums("cumulative_query_lengths", a.cumulative_query_lengths, shape.batch, a.query.extent[2], shape.query_length,
                   "query.extent[2]");
        if (!a.cumulative_key_lengths.empty())
            check_sums("cumulative_key_lengths", a.cumulative_key_lengths, shape.batch, a.key.extent[2], kMaxLength,
                       "key.extent[2]");
    }
    check_each("query_lengths", a.query_lengths, shape.batch, 0, shape.query_length, "the queries of the tensor");
    check_each("key_lengths", a.key_lengths, shape.batch, 0, is_paged(a) ? kMaxLength : a.key.extent[2], "the keys of the tensor");
    check_each("prefix_lengths", a.prefix_lengths, shape.batch, 0, kMaxLength, "keys");
    check_each("first_query_positions", a.first_query_positions, shape.batch, -kMaxLength, kMaxLength, "a position");
    check_each("first_key_positions", a.first_key_positions, shape.batch, -kMaxLength, kMaxLength, "a position");
    if (a.shared_keys == 0) return;
    check_range("shared_keys", -1, a.shared_keys, 0, kMaxLength, "keys");
    if (!options.shared_prefix)
        throw Error("shared_keys is " + std::to_string(a.shared_keys) + ": expected 0, as options.shared_prefix is false");
    for (std::int64_t b = 0; b < shape.batch; ++b)
        if (const Sequence s = sequence_at(a, b); s.keys < a.shared_keys)
            throw Error("shared_keys is " + std::to_string(a.shared_keys) + ": sequence " + std::to_string(b) + " has only " +
                        std::to_string(s.keys) + " keys");
}

}  // namespace headwise
