#pragma once

#include <cstdint>

#include "engine/reference/row.hpp"
#include "engine/tensor/steps.hpp"
#include "headwise/attention.hpp"
#include "headwise/attention_arguments.hpp"
#include "headwise/tensor.hpp"

namespace headwise::reference {

/// The rows of one head of one sequence, wherever they lie in a tensor [batch, heads, length, dim].
template <class T>
struct SequenceRows {
    T* data;
    std::int64_t row_stride, element_stride;
    Row<const std::int32_t> pages{nullptr, 0};  ///< null: the rows lie one behind the other
    std::int64_t page_size = 0, page_stride = 0;

    Row<T> operator[](std::int64_t i) const {
        if (!pages.data) return {data + i * row_stride, element_stride};
        return {data + pages[i / page_size] * page_stride + i % page_size * row_stride, element_stride};
    }
};

/// How many sequences there are, how long each is, where its tokens lie and at which positions: padded, packed ("ragged") or paged.
/// Queries i and keys j count within their sequence. The arguments must outlive it.
class Sequences {
  public:
    using Extents = TensorView<float, 4>::Extents;
    Sequences(const Extents& query, const Extents& key, const AttentionOptions& options, const AttentionArguments& rules);

    std::int64_t count() const;
    std::int64_t queries(std::int64_t b) const;
    std::int64_t keys(std::int64_t b) const;
    std::int64_t most_queries() const;  ///< of any sequence
    std::int64_t most_keys() const;

    std::int64_t key_position(std::int64_t b, std::int64_t j) const;
    /// Lower than the first key's position if there are more queries than keys.
    std::int64_t query_position(std::int64_t b, std::int64_t i) const;
    /// Key j is node j - this of the sequence's tree.
    std::int64_t first_tree_key(std::int64_t b) const;
    /// Which positions RoPE turns a query and a key for. Given positions lie as the tokens do: packed tokens have packed positions.
    std::int64_t query_rope_position(std::int64_t b, std::int64_t i) const;
    std::int64_t key_rope_position(std::int64_t b, std::int64_t j) const;

    /// Head h of sequence b in a tensor that lies as the queries do.
    template <class T>
    SequenceRows<T> query_rows(const TensorView<T, 4>& tensor, std::int64_t b, std::int64_t h) const {
        const TensorView<T, 4> view = without_unused_strides(tensor);
        const Row<T> first = row(view, packed_queries() ? 0 : b, h, first_query(b));
        return {first.data, view.stride[2], first.stride};
    }
    /// Head h of sequence b in a tensor that lies as the keys do.
    template <class T>
    SequenceRows<T> key_rows(const TensorView<T, 4>& tensor, std::int64_t b, std::int64_t h) const {
        const TensorView<T, 4> view = without_unused_strides(tensor);
        if (paged()) {
            const Row<T> first = row(view, 0, h, 0);
            return {first.data, view.stride[2], first.stride, row(rules_.page_table, b), view.extent[2], view.stride[0]};
        }
        const Row<T> first = row(view, packed_keys() ? 0 : b, h, first_key(b));
        return {first.data, view.stride[2], first.stride};
    }

    bool paged() const { return rules_.page_table.data != nullptr; }
    bool packed_queries() const { return !rules_.cumulative_query_lengths.empty(); }
    bool packed_keys() const { return !rules_.cumulative_key_lengths.empty(); }

  private:
    std::int64_t first_query(std::int64_t b) const;  ///< in the tensor's length
    std::int64_t first_key(std::int64_t b) const;

    Extents query_, key_;
    bool top_left_;
    const AttentionArguments& rules_;
};

}  // namespace headwise::reference
