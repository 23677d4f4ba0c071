// Every mistake in a call of KvCache is named: the argument, the value that it had, what was expected; and nothing has changed.
#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/cache/tokens.hpp"
#include "tests/support/error_message.hpp"

namespace headwise::test {
namespace {

constexpr KvCacheShape kShape{.num_kv_heads = 2, .head_dim = 6, .value_dim = 3, .page_size = 4, .pages = 8};
constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

TEST_CASE("a shape that no cache can be made for") {
    struct Mistake {
        std::function<void(KvCacheShape&)> make;
        std::vector<std::string> parts;
    };
    const Mistake mistakes[] = {
        {[](auto& s) { s.num_kv_heads = 0; }, {"shape.num_kv_heads is 0", "at least 1"}},
        {[](auto& s) { s.head_dim = 0; }, {"shape.head_dim is 0", "at least 1"}},
        {[](auto& s) { s.head_dim = 0, s.value_dim = 0; }, {"shape.head_dim is 0", "at least 1"}},
        {[](auto& s) { s.value_dim = -1; }, {"shape.value_dim is -1", "at least 1"}},
        {[](auto& s) { s.page_size = 0; }, {"shape.page_size is 0", "at least 1"}},
        {[](auto& s) { s.pages = 0; }, {"shape.pages is 0", "at least 1"}},
        {[](auto& s) { s.pages = kHuge; }, {"shape.pages is 9223372036854775807", "at most 536870911 of 4 tokens"}},
        {[](auto& s) { s.page_size = kHuge; }, {"shape.pages is 8", "at most 0 of 9223372036854775807 tokens"}},
        {[](auto& s) { s.head_dim = kHuge; }, {"shape.num_kv_heads is 2", "shape.head_dim is 9223372036854775807", "64 bits"}},
        {[](auto& s) { s.value_dim = kHuge / 64; }, {"shape.value_dim is ", "64 bits"}},
        {[](auto& s) { s.num_kv_heads = kHuge; }, {"shape.num_kv_heads is 9223372036854775807", "64 bits"}},
    };
    for (const Mistake& mistake : mistakes) {
        KvCacheShape shape = kShape;
        mistake.make(shape);
        check_error([&] { const KvCache cache(shape); }, mistake.parts);
    }
}

TEST_CASE("a cache that is full, or beyond 64 bits, is an error of memory, anything else one of arguments") {
    KvCache cache({.num_kv_heads = 2, .head_dim = 6, .value_dim = 3, .page_size = 4, .pages = 1});
    RandomNumbers random(test_seed());
    const Tokens tokens(random, kShape, 5);
    const SequenceId sequence = cache.add_sequence();
    CHECK(kind_of([&] { append(cache, sequence, tokens); }) == ErrorKind::memory);
    CHECK(kind_of([&] { append(cache, {}, tokens); }) == ErrorKind::argument);
    KvCacheShape shape = kShape;
    shape.head_dim = kHuge;
    CHECK(kind_of([&] { const KvCache huge(shape); }) == ErrorKind::memory);
    shape.head_dim = 0;
    CHECK(kind_of([&] { const KvCache none(shape); }) == ErrorKind::argument);
}

TEST_CASE("an id of no sequence, a removed one, or another cache's, in every call") {
    KvCache cache(kShape), other(kShape);
    RandomNumbers random(test_seed());
    const Tokens tokens(random, kShape, 1);
    const SequenceId kept = cache.add_sequence(), removed = cache.add_sequence(), foreign = other.add_sequence();
    append(cache, kept, tokens);
    cache.remove(removed);
    const SequenceId successor = cache.add_sequence();  // where the removed one was
    struct Id {
        SequenceId id;
        std::string is;
    };
    for (const Id& bad : {Id{{}, "SequenceId{}, of no sequence"}, Id{removed, "of a removed sequence or of another cache"},
                          Id{foreign, "of a removed sequence or of another cache"}}) {
        const std::vector<std::string> parts{"sequence is " + bad.is, "expected what add_sequence() or fork() of this cache"};
        check_error([&] { append(cache, bad.id, tokens); }, parts);
        check_error([&] { cache.truncate(bad.id, 0); }, parts);
        check_error([&] { cache.fork(bad.id); }, parts);
        check_error([&] { cache.remove(bad.id); }, parts);
        check_error([&] { cache.length(bad.id); }, parts);
        check_error([&] { cache.pages(bad.id); }, parts);
        check_error([&] { cache.pages_needed(bad.id, 1); }, parts);

        KvBatch batch = cache.make_batch({&kept, 1});
        check_error([&] { cache.make_batch(std::array{kept, successor, bad.id}, batch); }, {"sequences[2] is " + bad.is});
        CHECK(batch.batch_size() == 1);
        CHECK(batch.key_lengths()[0] == 1);
    }
    CHECK(cache.free_pages() == 7);
    CHECK(cache.length(successor) == 0);
}

TEST_CASE("tokens that do not fit the cache") {
    KvCache cache(kShape);
    const SequenceId sequence = cache.add_sequence();
    using View = TensorView<const float, 3>;
    const std::vector<float> data(1000);
    const View key(data.data(), {2, 5, 6}), value(data.data(), {2, 5, 3});
    const auto refused = [&](const View& k, const View& v, const std::vector<std::string>& parts) {
        check_error([&] { cache.append(sequence, k, v); }, parts);
        CHECK(cache.length(sequence) == 0);
        CHECK(cache.free_pages() == 8);
    };
    refused({data.data(), {3, 5, 6}}, value, {"key.extent[0] is 3, expected 2", "num_kv_heads"});
    refused({data.data(), {2, 5, 7}}, value, {"key.extent[2] is 7, expected 6", "head_dim"});
    refused(key, {data.data(), {1, 5, 3}}, {"value.extent[0] is 1, expected 2", "num_kv_heads"});
    refused(key, {data.data(), {2, 5, 6}}, {"value.extent[2] is 6, expected 3", "value_dim"});
    refused(key, {data.data(), {2, 4, 3}}, {"value.extent[1] is 4, expected 5", "key.extent[1], the number of tokens"});
    refused({data.data(), {2, -5, 6}}, value, {"key.extent[1] is -5", "must not be negative"});
    refused({nullptr, {2, 5, 6}}, value, {"key.data is null"});
    refused(key, {nullptr, {2, 5, 3}}, {"value.data is null"});
    refused({data.data(), {2, 5, 6}, {60, 12, 2}}, value, {"key.stride[2] is 2", "stride 1"});
    refused(key, {data.data(), {2, 5, 3}, {30, 6, -1}}, {"value.stride[2] is -1", "stride 1"});
    refused({data.data(), {2, 5, 6}, {kHuge, 6, 1}}, value, {"key.stride[0] is 9223372036854775807", "64 bits"});
}

TEST_CASE("tokens that lie in the pools they would go to, whichever") {
    KvCache cache(kShape);
    const SequenceId sequence = cache.add_sequence();
    const std::vector<float> data(100);
    const float *keys = cache.key_pages().data, *values = cache.value_pages().data;
    const auto message = [&](const float* key, const float* value) {
        return message_of([&] { cache.append(sequence, {key, {2, 1, 6}}, {value, {2, 1, 3}}); });
    };
    check_message(message(keys + 100, data.data()), {"key_pages() overlaps key"});
    check_message(message(values + 100, data.data()), {"value_pages() overlaps key"});
    check_message(message(data.data(), keys + 100), {"key_pages() overlaps value"});
    check_message(message(data.data(), values + 100), {"value_pages() overlaps value"});
    CHECK(cache.length(sequence) == 0);
    CHECK(message(data.data(), data.data()) == kNoError);
}

TEST_CASE("a length to truncate to, and a number of tokens, out of range") {
    KvCache cache(kShape);
    RandomNumbers random(test_seed());
    const SequenceId sequence = cache.add_sequence();
    append(cache, sequence, Tokens(random, kShape, 5));
    check_error([&] { cache.truncate(sequence, 6); }, {"length is 6: expected 0 to 5"});
    check_error([&] { cache.truncate(sequence, -1); }, {"length is -1: expected 0 to 5"});
    CHECK(cache.length(sequence) == 5);
    check_error([&] { cache.pages_needed(sequence, -1); }, {"tokens is -1: expected at least 0"});
}

}  // namespace
}  // namespace headwise::test
