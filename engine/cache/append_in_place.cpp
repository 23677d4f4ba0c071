#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <string>

#include "engine/cache/store.hpp"
#include "engine/tensor/view_check.hpp"
#include "headwise/error.hpp"
#include "headwise/kv_cache.hpp"

namespace headwise {
namespace {

/// One of key and value, with the cache that it goes to.
struct Destination {
    const char* cache_name;
    const TensorView<float, 4>& cache;
    const char* name;
    const TensorView<const float, 4>& tokens;
};

void check_extents(const Destination& to, std::int64_t batch, const TensorView<float, 4>& key_cache,
                   const TensorView<const float, 4>& key) {
    check_extent(to.cache_name, to.cache, 0, batch, "the size of lengths, the batch");
    check_extent(to.cache_name, to.cache, 1, key_cache.extent[1], "key_cache.extent[1], the number of key/value heads");
    check_extent(to.cache_name, to.cache, 2, key_cache.extent[2], "key_cache.extent[2], the capacity");
    check_extent(to.name, to.tokens, 0, batch, "the size of lengths, the batch");
    check_extent(to.name, to.tokens, 1, key_cache.extent[1], "key_cache.extent[1], the number of key/value heads");
    check_extent(to.name, to.tokens, 2, key.extent[2], "key.extent[2], the number of tokens");
    check_extent(to.name, to.tokens, 3, to.cache.extent[3], "the last extent of its cache");
}

void check_memory(const std::array<Destination, 2>& both, std::span<std::int32_t> lengths) {
    const CheckedView counts = checked_view("lengths", lengths);
    std::array<CheckedView, 2> caches, tokens;
    for (std::size_t i = 0; i < 2; ++i) {
        caches[i] = checked_view(both[i].cache_name, both[i].cache);
        tokens[i] = checked_view(both[i].name, both[i].tokens);
        check_unit_stride(both[i].cache_name, both[i].cache);
        check_unit_stride(both[i].name, both[i].tokens);
        check_no_self_overlap(both[i].cache_name, both[i].cache);
    }
    check_apart(caches[0], caches[1]);
    for (const auto& views : {caches, tokens})
        for (const CheckedView& view : views) check_apart(counts, view);
    for (const CheckedView& cache : caches)
        for (const CheckedView& read : tokens) check_apart(cache, read);
}

void check_lengths(std::span<const std::int32_t> lengths, std::int64_t capacity, std::int64_t tokens, const RopeTable* rope) {
    if (tokens > capacity)
        throw Error("key.extent[2] is " + std::to_string(tokens) + ": expected at most " + std::to_string(capacity) +
                    ", the capacity (key_cache.extent[2])");
    // A length stays a number of 32 bits, whatever the capacity.
    const std::int64_t most = std::min<std::int64_t>(capacity, std::numeric_limits<std::int32_t>::max()) - tokens;
    for (std::size_t b = 0; b < lengths.size(); ++b) {
        if (lengths[b] < 0 || lengths[b] > most)
            throw Error("lengths[" + std::to_string(b) + "] is " + std::to_string(lengths[b]) + ": expected 0 to " +
                        std::to_string(most) + ", so that " + std::to_string(tokens) + " more tokens fit the capacity of " +
                        std::to_string(capacity));
        check_rope_positions(rope, lengths[b], tokens);
    }
}

}  // namespace

void append_in_place(const TensorView<float, 4>& key_cache, const TensorView<float, 4>& value_cache,
                     std::span<std::int32_t> lengths, const TensorView<const float, 4>& key,
                     const TensorView<const float, 4>& value, const RopeTable* rope) {
    const std::array<Destination, 2> both{Destination{"key_cache", key_cache, "key", key},
                                          Destination{"value_cache", value_cache, "value", value}};
    for (const Destination& to : both) check_extents(to, static_cast<std::int64_t>(lengths.size()), key_cache, key);
    check_memory(both, lengths);
    check_rope_dims(rope, key.extent[3]);
    const std::int64_t tokens = key.extent[2];
    check_lengths(lengths, key_cache.extent[2], tokens, rope);
    if (tokens == 0) return;

    for (std::size_t i = 0; i < lengths.size(); ++i) {
        const auto b = static_cast<std::int64_t>(i);
        copy_keys(tokens_of(key, b, 0, tokens), tokens_of(key_cache, b, lengths[i], tokens), rope, lengths[i]);
        copy_tokens(tokens_of(value, b, 0, tokens), tokens_of(value_cache, b, lengths[i], tokens));
    }
    for (std::int32_t& length : lengths) length += static_cast<std::int32_t>(tokens);
}

}  // namespace headwise
