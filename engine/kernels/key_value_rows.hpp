#pragma once

#include <cstdint>

#include "engine/kernels/attention_kernels.hpp"
#include "engine/layout/cache_line.hpp"

namespace headwise {
namespace {

/// rows[i] = where row first + i begins, for i < count; rows beyond the last key repeat it. Pages are looked up once each.
HEADWISE_INLINE void list_rows(const float* data, std::int64_t stride, const KeyValueRows& kv, std::int64_t page_stride,
                               std::int64_t first, std::int64_t count, const float** rows) {
    const std::int64_t there = kv.count - first < count ? kv.count - first : count;
    std::int64_t i = 0;
    if (!kv.pages) {
        const float* row = data + first * stride;
        for (; i < there; ++i, row += stride) rows[i] = row;
    } else {
        std::int64_t page = first / kv.page_size, slot = first % kv.page_size;
        while (i < there) {
            const float* row = data + kv.pages[page++] * page_stride + slot * stride;
            for (; i < there && slot < kv.page_size; ++i, ++slot, row += stride) rows[i] = row;
            slot = 0;
        }
    }
    for (; i < count; ++i) rows[i] = rows[i - 1];
}

/// Goes from row to row. Its own registers tell where the next one is: addresses that were stored a moment ago and are loaded
/// again, as list_rows() would have it, wait for stores that in turn wait for memory (decode at 60 instead of 84 % of the
/// bandwidth, Zen 4). Where nothing is Paged, a step is an addition.
template <bool Paged>
class RowCursor {
  public:
    RowCursor(const float* data, std::int64_t stride, const KeyValueRows& kv, std::int64_t page_stride, std::int64_t first)
        : row_(data + first * stride), stride_(stride), left_(kv.count - first) {
        if constexpr (Paged) {
            if (!kv.pages || first >= kv.count) return;  // copies of keys; no key left
            data_ = data;
            page_ = kv.pages + first / kv.page_size;
            page_size_ = kv.page_size;
            page_stride_ = page_stride;
            left_ = 0;
            if (const std::int64_t slot = first % page_size_; slot > 0) {
                turn_page();
                row_ += slot * stride_;
                left_ -= slot;
            }
        }
    }

    /// Where the next row begins; there must be one.
    HEADWISE_INLINE const float* next() {
        if constexpr (Paged) {
            if (__builtin_expect(left_ == 0, 0)) turn_page();
            --left_;
        }
        const float* row = row_;
        row_ += stride_;
        return row;
    }

    HEADWISE_INLINE void skip(std::int64_t rows) {
        if constexpr (Paged) {
            for (; rows > left_; turn_page()) rows -= left_;
            left_ -= rows;
        }
        row_ += rows * stride_;
    }

  private:
    HEADWISE_INLINE void turn_page() {
        row_ = data_ + *page_++ * page_stride_;
        left_ = page_size_;
    }

    const float* row_;
    std::int64_t stride_, left_;
    // Of pages:
    const float* data_ = nullptr;
    const std::int32_t* page_ = nullptr;
    std::int64_t page_size_ = 0, page_stride_ = 0;
};

/// Brings rows that will be read soon into the second-level cache, one after the other: the keys or values from `first` on, up to
/// `end`. (A core has at most 24 reads from memory under way to the first level, Zen 4: that is slower than no fetch at all.)
template <bool Paged>
class RowFetch {
  public:
    RowFetch(const float* data, std::int64_t stride, const KeyValueRows& kv, std::int64_t page_stride, std::int64_t first,
             std::int64_t end)
        : cursor_(data, stride, kv, page_stride, first < end ? first : end), left_(end - first) {}

    /// The first `dim` floats of the next `rows` rows, or of those that are left.
    HEADWISE_INLINE void fetch(int rows, std::int64_t dim) {
        for (; rows > 0 && left_ > 0; --rows, --left_) {
            const float* row = cursor_.next();
            for (std::int64_t d = 0; d < dim; d += kCacheLineFloats) __builtin_prefetch(row + d, 0, 2);
        }
    }

  private:
    RowCursor<Paged> cursor_;
    std::int64_t left_;
};

/// For rows that nobody has to ask for.
struct NoFetch {
    HEADWISE_INLINE void fetch(int, std::int64_t) {}
};

template <bool Paged>
HEADWISE_INLINE RowCursor<Paged> value_cursor(const KeyValueRows& kv, std::int64_t first) {
    return {kv.values, kv.value_stride, kv, kv.value_page_stride, first};
}

inline void list_values(const KeyValueRows& kv, std::int64_t first, std::int64_t count, const float** rows) {
    list_rows(kv.values, kv.value_stride, kv, kv.value_page_stride, first, count, rows);
}

/// The same for keys, and for `ahead` more that are asked for but not read. Where keys must be turned, rows are copies that are
/// made here.
template <class S>
void list_keys(const KeyValueRows& kv, std::int64_t head_dim, std::int64_t first, std::int64_t count, std::int64_t ahead,
               const float** rows) {
    list_rows(kv.keys, kv.key_stride, kv, kv.key_page_stride, first, count + ahead, rows);
    if (!kv.rope) return;
    const RopeRows& rope = *kv.rope;
    const std::int64_t left = kv.count - first, there = left < count ? left : count;
    for (std::int64_t i = 0; i < there; ++i) {
        const std::int64_t position = rope.positions ? rope.positions[first + i] : rope.first_position + first + i;
        const float* cosines = angles_of(*rope.angles, position < 0 ? -position : position, rope.made);
        const std::int64_t dims = rope.angles->dims;
        float* turned = rope.turned + i * head_dim;
        rotate_row<S>(rows[i], turned, head_dim, cosines, cosines + dims / 2, dims, rope.interleaved, position < 0);
        rows[i] = turned;
    }
    for (std::int64_t i = there; i < count + ahead; ++i) rows[i] = rows[there - 1];
}

/// The rows of `count` keys one by one; where keys must be turned, of copies that are made here.
template <class S, bool Paged>
HEADWISE_INLINE RowCursor<Paged> key_cursor(const KeyValueRows& kv, std::int64_t head_dim, std::int64_t first, std::int64_t count) {
    if (!kv.rope || count == 0) return {kv.keys, kv.key_stride, kv, kv.key_page_stride, first};
    const float* rows[kMaxTurnedKeys];
    list_keys<S>(kv, head_dim, first, count, 0, rows);
    const KeyValueRows turned{.keys = nullptr, .key_stride = 0, .values = nullptr, .value_stride = 0, .count = count};
    return {kv.rope->turned, head_dim, turned, 0, 0};
}

}  // namespace
}  // namespace headwise
