#include "headwise/kv_cache.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "engine/cache/store.hpp"
#include "engine/layout/cache_line.hpp"
#include "engine/tensor/view_check.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

constexpr std::align_val_t kAlignment{kCacheLine};

/// Shared by all caches, so that an id of another one is told apart.
std::uint64_t next_serial() noexcept {
    static std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

void check_at_least_one(const char* name, std::int64_t n) {
    if (n < 1) throw Error("shape." + std::string(name) + " is " + std::to_string(n) + ": expected at least 1");
}

void check_pool_size(const char* dim_name, std::int64_t dim, const KvCacheShape& shape) {
    std::int64_t elements = 0;
    if (__builtin_mul_overflow(shape.num_kv_heads, dim, &elements) ||
        __builtin_mul_overflow(elements, shape.pages * shape.page_size, &elements) ||
        elements > std::numeric_limits<std::int64_t>::max() / 64)
        throw Error("shape.num_kv_heads is " + std::to_string(shape.num_kv_heads) + " and shape." + dim_name + " is " +
                        std::to_string(dim) + ": the addresses of " + std::to_string(shape.pages) + " pages exceed 64 bits",
                    ErrorKind::memory);
}

KvCacheShape checked_shape(KvCacheShape shape) {
    if (shape.value_dim == 0) shape.value_dim = shape.head_dim;
    check_at_least_one("num_kv_heads", shape.num_kv_heads);
    check_at_least_one("head_dim", shape.head_dim);
    check_at_least_one("value_dim", shape.value_dim);
    check_at_least_one("page_size", shape.page_size);
    check_at_least_one("pages", shape.pages);
    // Pages and lengths are numbers of 32 bits in what attention takes.
    constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
    if (shape.pages > kMost / shape.page_size)
        throw Error("shape.pages is " + std::to_string(shape.pages) + ": expected at most " +
                    std::to_string(kMost / shape.page_size) + " of " + std::to_string(shape.page_size) +
                    " tokens (shape.page_size), so that positions fit 32 bits");
    check_pool_size("head_dim", shape.head_dim, shape);
    check_pool_size("value_dim", shape.value_dim, shape);
    return shape;
}

[[noreturn]] void throw_unknown(const std::string& name, SequenceId sequence) {
    const char* what = sequence == SequenceId{} ? "SequenceId{}, of no sequence" : "of a removed sequence or of another cache";
    throw Error(name + " is " + what + ": expected what add_sequence() or fork() of this cache returned, not yet removed");
}

/// [heads, n, dim] as a batch of one.
TensorView<const float, 4> batch_of_one(const TensorView<const float, 3>& x) {
    return {x.data, {1, x.extent[0], x.extent[1], x.extent[2]}, {0, x.stride[0], x.stride[1], x.stride[2]}};
}

CheckedView checked_tokens(const char* name, const TensorView<const float, 3>& tokens, const TensorView<float, 4>& pool,
                           const char* dim_meaning) {
    check_extent(name, tokens, 0, pool.extent[1], "num_kv_heads of the cache");
    check_extent(name, tokens, 2, pool.extent[3], dim_meaning);
    check_unit_stride(name, tokens);
    return checked_view(name, tokens);
}

struct FreePool {
    void operator()(float* pool) const noexcept { ::operator delete(pool, kAlignment); }
};
using Pool = std::unique_ptr<float, FreePool>;

Pool allocate(const TensorView<float, 4>& pages) {
    const auto& n = pages.extent;
    const auto bytes = static_cast<std::size_t>(n[0] * n[1] * n[2] * n[3]) * sizeof(float);
    return Pool(static_cast<float*>(::operator new(bytes, kAlignment)));
}

}  // namespace

// What grows lies behind a pointer: a program that is compiled with other checks of the standard library (_GLIBCXX_DEBUG) has
// containers of another layout.

/// Holds ceil(length / page_size) pages. serial is 0 where the slot is unused.
struct KvCache::Sequence {
    std::uint64_t serial = 0;
    std::int64_t length = 0;
    std::vector<std::int32_t> pages;
};

struct KvCache::State {
    Pool key_pool, value_pool;
    std::vector<std::int64_t> references;  // [pages]: the sequences that hold the page
    std::vector<std::int32_t> free;        // the pages that none holds, the next to be taken last
    std::vector<Sequence> sequences;       // by slot
    std::vector<std::size_t> unused;       // slots; has room for all of them
};

// ------------------------------------------------------------------------------------------------------------------ the pool

KvCache::KvCache(const KvCacheShape& shape, const RopeTable* rope)
    : shape_(checked_shape(shape)), rope_(rope), state_(std::make_unique<State>()) {
    check_rope_dims(rope, shape_.head_dim);
    key_pages_.extent = {shape_.pages, shape_.num_kv_heads, shape_.page_size, shape_.head_dim};
    value_pages_.extent = {shape_.pages, shape_.num_kv_heads, shape_.page_size, shape_.value_dim};
    state_->key_pool = allocate(key_pages_);
    state_->value_pool = allocate(value_pages_);
    key_pages_ = {state_->key_pool.get(), key_pages_.extent};
    value_pages_ = {state_->value_pool.get(), value_pages_.extent};

    state_->references.resize(static_cast<std::size_t>(shape_.pages));
    state_->free.resize(static_cast<std::size_t>(shape_.pages));
    // Taken from the back: page 0 first.
    for (std::size_t i = 0; i < state_->free.size(); ++i) state_->free[i] = static_cast<std::int32_t>(state_->free.size() - 1 - i);
}

KvCache::KvCache(KvCache&&) noexcept = default;
KvCache& KvCache::operator=(KvCache&&) noexcept = default;
KvCache::~KvCache() = default;

std::int64_t KvCache::free_pages() const noexcept {
    return static_cast<std::int64_t>(state_->free.size());
}

std::int32_t KvCache::next_free(std::size_t i) const noexcept {
    return state_->free[state_->free.size() - 1 - i];
}

/// Gives up the pages behind the first `kept`. The last goes first, so that they are taken again in the order they had.
void KvCache::release_pages(Sequence& sequence, std::size_t kept) noexcept {
    while (sequence.pages.size() > kept) {
        const std::int32_t page = sequence.pages.back();
        sequence.pages.pop_back();
        if (--state_->references[static_cast<std::size_t>(page)] == 0)
            state_->free.push_back(page);  // has room for every page: no allocation
    }
}

// ----------------------------------------------------------------------------------------------------------------- sequences

bool KvCache::contains(SequenceId sequence) const noexcept {
    return sequence.serial_ != 0 && sequence.slot_ < state_->sequences.size() &&
           state_->sequences[sequence.slot_].serial == sequence.serial_;
}

const KvCache::Sequence& KvCache::find(SequenceId sequence) const {
    if (!contains(sequence)) throw_unknown("sequence", sequence);
    return state_->sequences[sequence.slot_];
}

KvCache::Sequence& KvCache::find(SequenceId sequence) {
    return const_cast<Sequence&>(std::as_const(*this).find(sequence));
}

std::int64_t KvCache::length(SequenceId sequence) const {
    return find(sequence).length;
}

std::span<const std::int32_t> KvCache::pages(SequenceId sequence) const {
    return find(sequence).pages;
}

/// The slot that open() takes next; throws before anything is changed.
std::size_t KvCache::unused_slot() {
    if (state_->unused.empty()) {
        if (state_->unused.capacity() <= state_->sequences.size())
            state_->unused.reserve(2 * state_->sequences.size() + 8);  // so that remove() cannot throw
        state_->sequences.emplace_back();
        state_->unused.push_back(state_->sequences.size() - 1);
    }
    return state_->unused.back();
}

SequenceId KvCache::open(std::size_t slot) noexcept {
    state_->unused.pop_back();
    state_->sequences[slot].serial = next_serial();
    return {state_->sequences[slot].serial, slot};
}

SequenceId KvCache::add_sequence() {
    return open(unused_slot());
}

SequenceId KvCache::fork(SequenceId sequence) {
    find(sequence);
    const std::size_t slot = unused_slot();
    const Sequence& from = find(sequence);  // where it lies now
    Sequence& to = state_->sequences[slot];
    to.pages.assign(from.pages.begin(), from.pages.end());
    to.length = from.length;
    for (const std::int32_t page : to.pages) ++state_->references[static_cast<std::size_t>(page)];
    return open(slot);
}

void KvCache::remove(SequenceId sequence) {
    Sequence& removed = find(sequence);
    release_pages(removed, 0);
    removed.length = 0;
    removed.serial = 0;
    state_->unused.push_back(sequence.slot_);
}

void KvCache::truncate(SequenceId sequence, std::int64_t length) {
    Sequence& cut = find(sequence);
    if (length < 0 || length > cut.length)
        throw Error("length is " + std::to_string(length) + ": expected 0 to " + std::to_string(cut.length) +
                    ", the sequence's length");
    cut.length = length;
    release_pages(cut, static_cast<std::size_t>((length + shape_.page_size - 1) / shape_.page_size));
}

// -------------------------------------------------------------------------------------------------------------------- append

/// How many of the sequence's pages stay with it when tokens are appended: all but a shared last one that has to be written into,
/// and so copied.
std::size_t KvCache::pages_kept(const Sequence& sequence) const noexcept {
    const bool writes_into_last = sequence.length % shape_.page_size != 0;
    const bool copies_last = writes_into_last && state_->references[static_cast<std::size_t>(sequence.pages.back())] > 1;
    return sequence.pages.size() - (copies_last ? 1 : 0);
}

std::int64_t KvCache::pages_taken(const Sequence& sequence, std::int64_t tokens) const noexcept {
    if (tokens == 0) return 0;
    // A number of tokens that 64 bits cannot hold takes more pages than there are, and that is all it has to say.
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    const std::int64_t length = tokens > kMost - sequence.length ? kMost : sequence.length + tokens;
    const std::int64_t pages = length / shape_.page_size + (length % shape_.page_size != 0 ? 1 : 0);
    return pages - static_cast<std::int64_t>(pages_kept(sequence));
}

std::int64_t KvCache::pages_needed(SequenceId sequence, std::int64_t tokens) const {
    const Sequence& found = find(sequence);
    if (tokens < 0) throw Error("tokens is " + std::to_string(tokens) + ": expected at least 0");
    return pages_taken(found, tokens);
}

void KvCache::check_tokens(const TensorView<const float, 3>& key, const TensorView<const float, 3>& value) const {
    const CheckedView keys = checked_tokens("key", key, key_pages_, "head_dim of the cache");
    const CheckedView values = checked_tokens("value", value, value_pages_, "value_dim of the cache");
    check_extent("value", value, 1, key.extent[1], "key.extent[1], the number of tokens");
    for (const CheckedView& pool : {checked_view("key_pages()", key_pages_), checked_view("value_pages()", value_pages_)}) {
        check_apart(pool, keys);
        check_apart(pool, values);
    }
}

void KvCache::append(SequenceId sequence, const TensorView<const float, 3>& key, const TensorView<const float, 3>& value) {
    Sequence& grown = find(sequence);
    check_tokens(key, value);
    const std::int64_t tokens = key.extent[1];
    check_rope_positions(rope_, grown.length, tokens);
    const std::int64_t taken = pages_taken(grown, tokens);
    if (taken > free_pages())
        throw Error("key.extent[1] is " + std::to_string(tokens) + ": the append needs " + std::to_string(taken) +
                        " free pages of " + std::to_string(shape_.page_size) + " tokens, " + std::to_string(free_pages()) +
                        " are free",
                    ErrorKind::memory);
    if (tokens == 0) return;
    const std::size_t pages = pages_kept(grown) + static_cast<std::size_t>(taken);
    if (pages > grown.pages.capacity()) grown.pages.reserve(std::max(pages, 2 * grown.pages.capacity()));
    write(grown, batch_of_one(key), batch_of_one(value));
    commit(grown, tokens);
}

/// Writes the tokens into the last page and the free ones that commit() takes then. Until it does, nobody sees them.
void KvCache::write(const Sequence& sequence, const TensorView<const float, 4>& key, const TensorView<const float, 4>& value) {
    const std::int64_t tokens = key.extent[2], page_size = shape_.page_size;
    const std::size_t kept = pages_kept(sequence);
    if (kept < sequence.pages.size()) {
        const std::int32_t shared = sequence.pages.back(), copy = next_free(0);
        const std::int64_t used = sequence.length % page_size;
        copy_tokens(tokens_of(key_pages(), shared, 0, used), tokens_of(key_pages_, copy, 0, used));
        copy_tokens(tokens_of(value_pages(), shared, 0, used), tokens_of(value_pages_, copy, 0, used));
    }
    std::int64_t count = 0;  // tokens that go to one page
    for (std::int64_t done = 0; done < tokens; done += count) {
        const std::int64_t position = sequence.length + done, slot = position % page_size;
        const auto index = static_cast<std::size_t>(position / page_size);
        const std::int32_t page = index < kept ? sequence.pages[index] : next_free(index - kept);
        count = std::min(tokens - done, page_size - slot);
        copy_keys(tokens_of(key, 0, done, count), tokens_of(key_pages_, page, slot, count), rope_, position);
        copy_tokens(tokens_of(value, 0, done, count), tokens_of(value_pages_, page, slot, count));
    }
}

/// Makes the tokens that write() has written the sequence's own.
void KvCache::commit(Sequence& sequence, std::int64_t tokens) noexcept {
    const std::int64_t taken = pages_taken(sequence, tokens);
    release_pages(sequence, pages_kept(sequence));
    for (std::int64_t i = 0; i < taken; ++i) {
        const std::int32_t page = next_free(0);
        state_->free.pop_back();
        state_->references[static_cast<std::size_t>(page)] = 1;
        sequence.pages.push_back(page);  // append() has made room
    }
    sequence.length += tokens;
}

// ----------------------------------------------------------------------------------------------------------------- attention

std::int64_t KvCache::keys_shared(std::span<const SequenceId> sequences) const noexcept {
    if (sequences.size() < 2) return 0;
    const Sequence& first = state_->sequences[sequences[0].slot_];
    // The last page may hold tokens of one sequence that another has forgotten or not.
    std::int64_t shared = first.length / shape_.page_size;
    for (const SequenceId id : sequences.subspan(1)) {
        const Sequence& other = state_->sequences[id.slot_];
        shared = std::min(shared, other.length / shape_.page_size);
        shared = std::mismatch(first.pages.begin(), first.pages.begin() + shared, other.pages.begin()).first - first.pages.begin();
    }
    return shared * shape_.page_size;
}

struct KvBatch::Lists {
    std::vector<std::int32_t> page_table = {0};  // never empty: a view with no data would say that keys are not paged
    std::vector<std::int32_t> key_lengths;
    std::int64_t most_pages = 1, shared_keys = 0;
};

KvBatch::KvBatch() : lists_(std::make_unique<Lists>()) {}
KvBatch::KvBatch(const KvBatch& other) : lists_(std::make_unique<Lists>(other.lists_ ? *other.lists_ : Lists{})) {}
KvBatch::KvBatch(KvBatch&& other) noexcept = default;
KvBatch& KvBatch::operator=(const KvBatch& other) {
    return *this = KvBatch(other);
}
KvBatch& KvBatch::operator=(KvBatch&& other) noexcept = default;
KvBatch::~KvBatch() = default;

TensorView<const std::int32_t, 2> KvBatch::page_table() const noexcept {
    if (!lists_) return {};
    return {lists_->page_table.data(), {batch_size(), lists_->most_pages}};
}

std::span<const std::int32_t> KvBatch::key_lengths() const noexcept {
    if (!lists_) return {};
    return lists_->key_lengths;
}

std::int64_t KvBatch::shared_keys() const noexcept {
    return lists_ ? lists_->shared_keys : 0;
}

void KvCache::make_batch(std::span<const SequenceId> sequences, KvBatch& batch) const {
    std::size_t most = 1;
    for (std::size_t b = 0; b < sequences.size(); ++b) {
        if (!contains(sequences[b])) throw_unknown("sequences[" + std::to_string(b) + "]", sequences[b]);
        most = std::max(most, state_->sequences[sequences[b].slot_].pages.size());
    }
    const std::size_t entries = std::max<std::size_t>(1, sequences.size() * most);
    if (!batch.lists_) batch.lists_ = std::make_unique<KvBatch::Lists>();
    KvBatch::Lists& lists = *batch.lists_;
    lists.page_table.reserve(entries);
    lists.key_lengths.reserve(sequences.size());  // the last that may throw

    lists.page_table.assign(entries, 0);
    lists.key_lengths.clear();
    lists.most_pages = static_cast<std::int64_t>(most);
    lists.shared_keys = keys_shared(sequences);
    for (std::size_t b = 0; b < sequences.size(); ++b) {
        const Sequence& sequence = state_->sequences[sequences[b].slot_];
        std::copy(sequence.pages.begin(), sequence.pages.end(), lists.page_table.begin() + static_cast<std::ptrdiff_t>(b * most));
        lists.key_lengths.push_back(static_cast<std::int32_t>(sequence.length));
    }
}

}  // namespace headwise
