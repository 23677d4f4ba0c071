#pragma once

#include <cstdint>
#include <vector>

#include "headwise/kv_cache.hpp"
#include "tests/support/random_numbers.hpp"
#include "tests/support/strided_tensor.hpp"

namespace headwise::test {

/// Random keys and values of n tokens, between guard pages.
struct Tokens {
    Tokens(RandomNumbers& random, const KvCacheShape& shape, std::int64_t n, const Layout& key_layout = kBhsd,
           const Layout& value_layout = kBhsd);

    TensorView<const float, 3> key_view() const { return first_of(key.view()); }
    TensorView<const float, 3> value_view() const { return first_of(value.view()); }

    StridedTensor key, value;  // [1, num_kv_heads, n, dim]

  private:
    static TensorView<const float, 3> first_of(const TensorView<float, 4>& x) {
        return {x.data, {x.extent[1], x.extent[2], x.extent[3]}, {x.stride[1], x.stride[2], x.stride[3]}};
    }
};

inline void append(KvCache& cache, SequenceId sequence, const Tokens& tokens) {
    cache.append(sequence, tokens.key_view(), tokens.value_view());
}

/// All that a cache keeps of a token: the keys of its heads one behind the other, then the values.
using Row = std::vector<float>;
using Rows = std::vector<Row>;

Rows rows_of(const Tokens& tokens);

/// What attention would read: by the page table and the length that make_batch() gives.
Rows rows_of(const KvCache& cache, SequenceId sequence);

/// The first n.
inline Rows first(const Rows& rows, std::int64_t n) {
    return {rows.begin(), rows.begin() + n};
}

inline Rows joined(Rows a, const Rows& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

/// Writes NaN into every slot of a cache that has no sequence, so that slots without a token show when they are read.
void poison(KvCache& cache);

}  // namespace headwise::test
