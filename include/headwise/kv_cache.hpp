#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "headwise/export.hpp"
#include "headwise/rope.hpp"
#include "headwise/tensor.hpp"

namespace headwise {

/// The sizes of a KvCache. A token is one position of one sequence: a key and a value for each key/value head.
struct KvCacheShape {
    std::int64_t num_kv_heads = 1;
    std::int64_t head_dim = 0;
    std::int64_t value_dim = 0;   ///< 0 means head_dim
    std::int64_t page_size = 16;  ///< tokens per page, at least 1; vLLM's "block size"
    std::int64_t pages = 0;       ///< in the pool, at least 1; pages * page_size is at most 2^31 - 1
};

/// Names one sequence of one KvCache. An id is never reused, not even in another cache or after a removal. Ids are ordered by age
/// and can be keys of maps.
class SequenceId {
  public:
    constexpr SequenceId() = default;  ///< names no sequence
    friend constexpr auto operator<=>(const SequenceId&, const SequenceId&) = default;

  private:
    friend class KvCache;
    friend struct std::hash<SequenceId>;
    constexpr SequenceId(std::uint64_t serial, std::size_t slot) : serial_(serial), slot_(slot) {}

    std::uint64_t serial_ = 0;  // counts all sequences of the program from 1
    std::size_t slot_ = 0;      // where the cache keeps the sequence
};

/// What a call of attention needs in addition to the pools: pages and lengths of a list of sequences. KvCache::make_batch() fills
/// it, without allocating if the same object has held as many before.
class KvBatch {
  public:
    HEADWISE_API KvBatch();
    HEADWISE_API KvBatch(const KvBatch& other);
    HEADWISE_API KvBatch(KvBatch&& other) noexcept;
    HEADWISE_API KvBatch& operator=(const KvBatch& other);
    HEADWISE_API KvBatch& operator=(KvBatch&& other) noexcept;
    HEADWISE_API ~KvBatch();

    /// For AttentionArguments::page_table: [batch, most pages of any sequence, at least 1], contiguous. Entries beyond a sequence's
    /// last page are 0.
    HEADWISE_API TensorView<const std::int32_t, 2> page_table() const noexcept;
    /// For AttentionArguments::key_lengths: [batch].
    HEADWISE_API std::span<const std::int32_t> key_lengths() const noexcept;
    std::int64_t batch_size() const noexcept { return static_cast<std::int64_t>(key_lengths().size()); }
    /// The length of the sequences' common prefix in keys, counted in whole pages, as after fork(); 0 for fewer than two sequences.
    /// AttentionArguments::shared_keys may be this or any smaller multiple of the page size. The value depends on which sequences
    /// are in the batch. For batch-independent bits, pass a fixed number, such as the length of the system prompt.
    HEADWISE_API std::int64_t shared_keys() const noexcept;

  private:
    friend class KvCache;
    struct Lists;

    std::unique_ptr<Lists> lists_;  // null once moved from
};

/// A paged cache of keys and values (Kwon et al. 2023, PagedAttention): a fixed pool of pages, allocated once, and sequences that
/// take pages as they grow. Sequences may share pages: a fork copies nothing until one side writes to the last page.
///
///     KvCache cache({.num_kv_heads = 8, .head_dim = 128, .pages = 4096});
///     const SequenceId sequence = cache.add_sequence();
///     cache.append(sequence, key, value);                            // the prompt, then token by token
///     cache.make_batch({&sequence, 1}, batch);                       // any number of sequences that decode together
///     attention({.query = query, .key = cache.key_pages(), .value = cache.value_pages(), .out = out,
///                .key_lengths = batch.key_lengths(), .page_table = batch.page_table()}, {.causal = Causal::bottom_right});
///
/// With a RopeTable, append() rotates keys by their positions in the sequence. Rotate the queries yourself (apply_rope()) and leave
/// AttentionOptions::rope null.
///
/// Errors: every call checks its arguments before it changes anything. It throws Error, or std::bad_alloc if lists of pages cannot
/// grow, and refuses an id that this cache did not give out or has removed. Only append() with a RopeTable may throw std::bad_alloc
/// later, while it rotates keys. Unused slots may have been written by then, but all sequences and the free pages are as before.
///
/// Threads: const calls, and attention on the pages, may run at the same time. Every other call needs exclusive access to the
/// cache.
class KvCache {
  public:
    /// Allocates the pool: pages * page_size * num_kv_heads * (head_dim + value_dim) floats. The system commits this memory when it
    /// is first written. `rope`, if given, rotates at most head_dim elements, has a row for every position that will be appended,
    /// and must outlive the cache. Throws Error or std::bad_alloc.
    HEADWISE_API explicit KvCache(const KvCacheShape& shape, const RopeTable* rope = nullptr);

    // Ids, and views of the pools, stay valid when a cache is moved. The source may then only be destroyed or assigned to.
    HEADWISE_API KvCache(KvCache&&) noexcept;
    HEADWISE_API KvCache& operator=(KvCache&&) noexcept;
    KvCache(const KvCache&) = delete;
    KvCache& operator=(const KvCache&) = delete;
    HEADWISE_API ~KvCache();

    /// The shape, with value_dim filled in.
    const KvCacheShape& shape() const noexcept { return shape_; }

    // ---- Sequences. Each call takes O(pages that it adds, shares or gives up), plus the copying in append().

    /// Adds an empty sequence. Takes no page.
    HEADWISE_API SequenceId add_sequence();

    /// Appends n tokens to the sequence: key [num_kv_heads, n, head_dim], value [num_kv_heads, n, value_dim], any strides, the last
    /// one 1; n may be 0. Neither may overlap the pools. Takes pages_needed(sequence, n) free pages: one for each page it begins,
    /// and one more if the last page is partly filled and shared. That page is copied first, so that no other sequence changes.
    ///
    /// Throws Error if there are too few free pages, or if `rope` ends before the last position. Runs on the calling thread; with
    /// `rope`, workers of the caller's arena may help to rotate the keys of one page if these take several hundred KiB
    /// (apply_rope()).
    HEADWISE_API void append(SequenceId sequence, const TensorView<const float, 3>& key, const TensorView<const float, 3>& value);

    /// Drops all but the first `length` tokens, 0 to length(sequence), and gives up the pages that hold none of them. Writes
    /// nothing: if the last page is shared, the next append() copies it.
    HEADWISE_API void truncate(SequenceId sequence, std::int64_t length);

    /// Adds a sequence with the same tokens, which shares all pages. Takes no page. To share only a prefix, truncate the fork.
    HEADWISE_API SequenceId fork(SequenceId sequence);

    /// Removes the sequence. A page is free again when the last sequence that holds it gives it up.
    HEADWISE_API void remove(SequenceId sequence);

    /// Whether the id names a sequence of this cache that has not been removed.
    HEADWISE_API bool contains(SequenceId sequence) const noexcept;

    /// The number of its tokens.
    HEADWISE_API std::int64_t length(SequenceId sequence) const;

    /// The pages of its tokens, in order; valid until the sequence changes.
    HEADWISE_API std::span<const std::int32_t> pages(SequenceId sequence) const;

    // ---- For schedulers

    HEADWISE_API std::int64_t free_pages() const noexcept;

    /// The free pages that append() of `tokens` tokens would take now. Each of several sequences that share their last page counts
    /// a copy of it, although the last one to append needs none. So the sum over sequences is always enough, and may be more than
    /// they take.
    HEADWISE_API std::int64_t pages_needed(SequenceId sequence, std::int64_t tokens) const;

    // ---- For attention

    /// The pools [pages, num_kv_heads, page_size, head_dim] and [.., value_dim], contiguous, aligned to a cache line. Slots without
    /// a token may hold anything, even NaN: attention never reads them. The views are valid as long as the cache lives.
    TensorView<const float, 4> key_pages() const noexcept { return key_pages_; }
    TensorView<const float, 4> value_pages() const noexcept { return value_pages_; }

    /// Fills `batch` with the current page table, lengths and common prefix of these sequences, in this order. A sequence may be
    /// listed more than once. O(batch * most pages).
    HEADWISE_API void make_batch(std::span<const SequenceId> sequences, KvBatch& batch) const;
    KvBatch make_batch(std::span<const SequenceId> sequences) const {
        KvBatch batch;
        make_batch(sequences, batch);
        return batch;
    }

  private:
    struct Sequence;
    struct State;

    const Sequence& find(SequenceId sequence) const;
    Sequence& find(SequenceId sequence);
    std::size_t unused_slot();
    SequenceId open(std::size_t slot) noexcept;
    void release_pages(Sequence& sequence, std::size_t kept) noexcept;
    std::size_t pages_kept(const Sequence& sequence) const noexcept;
    std::int64_t keys_shared(std::span<const SequenceId> sequences) const noexcept;
    std::int64_t pages_taken(const Sequence& sequence, std::int64_t tokens) const noexcept;
    std::int32_t next_free(std::size_t i) const noexcept;
    void check_tokens(const TensorView<const float, 3>& key, const TensorView<const float, 3>& value) const;
    void write(const Sequence& sequence, const TensorView<const float, 4>& key, const TensorView<const float, 4>& value);
    void commit(Sequence& sequence, std::int64_t tokens) noexcept;

    KvCacheShape shape_;
    const RopeTable* rope_;
    TensorView<float, 4> key_pages_, value_pages_;
    std::unique_ptr<State> state_;
};

/// Appends to contiguous caches in the caller's own layout: writes key and value after the tokens that each sequence of a batch
/// has, and advances the lengths.
///
/// key_cache [batch, num_kv_heads, capacity, head_dim], value_cache [batch, num_kv_heads, capacity, value_dim], key [batch,
/// num_kv_heads, n, head_dim], value [batch, num_kv_heads, n, value_dim]; any strides, the last one 1; n may be 0. `lengths`
/// [batch], each 0 to capacity - n, says where a sequence's tokens end; after the call, pass it as AttentionArguments::key_lengths.
/// Nothing that is written may overlap anything else. With `rope`, keys are rotated by their positions, as in KvCache.
///
/// Throws Error before anything is written. With `rope`, std::bad_alloc may come later: tokens may have been written after the
/// sequences' ends by then, but no length has changed. Thread-safe on distinct caches and lengths. Runs on the calling thread; with
/// `rope`, workers of the caller's arena may help to rotate the keys of one sequence if these take several hundred KiB
/// (apply_rope()).
HEADWISE_API void append_in_place(const TensorView<float, 4>& key_cache, const TensorView<float, 4>& value_cache,
                                  std::span<std::int32_t> lengths, const TensorView<const float, 4>& key,
                                  const TensorView<const float, 4>& value, const RopeTable* rope = nullptr);

}  // namespace headwise

template <>
struct std::hash<headwise::SequenceId> {
    std::size_t operator()(const headwise::SequenceId& id) const noexcept { return std::hash<std::uint64_t>{}(id.serial_); }
};
