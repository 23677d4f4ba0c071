#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "headwise/attention.hpp"
#include "tests/support/guarded_array.hpp"
#include "tests/support/same_floats.hpp"

namespace headwise::test {

inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// What a call asks for beside plain attention.
struct Variants {
    const char* name = "plain";
    AttentionOptions options{};
    bool scales = false, alibi = false, bias = false, function = false, sinks = false;
    bool mask = false, bits = false, blocks = false, prefix = false, tree = false;
    bool rope = false, positions = false;
};

/// Each variant for itself, some that meet often, and everything at once.
const std::vector<Variants>& all_variants();

/// One sequence. All that belongs to it, its tokens as well as its part of masks and bias, follows from the seed and from indices
/// within the sequence, wherever it lies.
struct SequenceSizes {
    std::int64_t queries, keys;
    std::uint64_t seed = 1;
};

/// How the sequences of a call lie in memory: `dense` is without lengths, all of the same sizes.
enum class Packing { dense, padded, ragged, paged, ragged_paged };
constexpr bool is_ragged(Packing p) {
    return p == Packing::ragged || p == Packing::ragged_paged;
}
constexpr bool is_paged(Packing p) {
    return p == Packing::paged || p == Packing::ragged_paged;
}

struct Placing {
    Packing packing = Packing::dense;
    std::int64_t page_size = 16;
    std::int64_t spare = 0;  ///< tokens that padded tensors have beyond the longest sequence
    /// The first keys of all sequences: the same pages, or, in dense and padded tensors, whose sequences share all keys, the one
    /// batch. They and key positions do not depend on the sequences' seeds. -1: not even arguments.shared_keys is set.
    std::int64_t shared_keys = -1;
    float filler = kNan;  ///< what all floats hold that belong to no sequence
    Guard guard = Guard::above;
};

struct HeadSizes {
    std::int64_t num_heads = 4, num_kv_heads = 2, head_dim = 20, value_dim = 12;
};

/// A call that owns all it reads and writes, each array at an inaccessible page. What it points to is in itself; it stays where it
/// was made.
class VariantCall {
  public:
    VariantCall(const Variants& variants, const std::vector<SequenceSizes>& sequences, const Placing& placing = {},
                const HeadSizes& heads = {});
    VariantCall(const VariantCall&) = delete;
    VariantCall& operator=(const VariantCall&) = delete;

    AttentionShape shape;  ///< lengths are those of the longest sequences
    AttentionOptions options;
    AttentionArguments arguments;

    /// Plans and runs, with a workspace that ends at an inaccessible page.
    void run() const;

    /// out and then log_sum_exp of a sequence, in the order [head, query, dim].
    std::vector<float> results(std::size_t b) const;
    /// Those of all sequences, one after the other.
    std::vector<float> results() const;

    /// Rows and elements of a sequence, by indices within it.
    float* query(std::size_t b, std::int64_t h, std::int64_t i) const;
    float* key(std::size_t b, std::int64_t kv_head, std::int64_t j) const;
    float* value(std::size_t b, std::int64_t kv_head, std::int64_t j) const;
    float* out(std::size_t b, std::int64_t h, std::int64_t i) const;
    float& log_sum_exp(std::size_t b, std::int64_t h, std::int64_t i) const;
    float& bias(std::size_t b, std::int64_t h, std::int64_t i, std::int64_t j) const;
    std::uint8_t& mask(std::size_t b, std::int64_t h, std::int64_t i, std::int64_t j) const;

    /// Whether a query sees a key by all rules, one by one as the public headers state them.
    bool sees(std::size_t b, std::int64_t h, std::int64_t i, std::int64_t j) const;

    /// Whether no row of no sequence holds anything but 0 and -Inf.
    bool padding_is_clear() const;

    std::string text() const;

    const std::vector<SequenceSizes> sequences;
    const Variants variants;
    const Placing placing;

  private:
    void place_tensors();
    void place_lengths();
    void place_pages();
    void fill_tokens();
    void fill_heads();
    void fill_pairs();
    void fill_tree_and_positions();
    GuardedArray<float> floats(std::int64_t size) const { return {size, placing.filler, placing.guard}; }
    GuardedArray<std::int32_t> integers(std::int64_t size, std::int32_t filler) const { return {size, filler, placing.guard}; }
    bool shares_keys() const { return placing.shared_keys >= 0; }
    /// Whose seed key j has.
    SequenceSizes owner_of_key(std::size_t b, std::int64_t j) const;
    float* token(const TensorView<const float, 4>& keys, std::size_t b, std::int64_t kv_head, std::int64_t j) const;
    bool sees_by_position(std::size_t b, std::int64_t i, std::int64_t j) const;
    bool sees_by_masks(std::size_t b, std::int64_t h, std::int64_t i, std::int64_t j) const;

    GuardedArray<float> query_, key_, value_, out_, log_sum_exp_, bias_, scales_, slopes_, sinks_;
    GuardedArray<std::uint8_t> mask_, bits_, blocks_;
    GuardedArray<std::int32_t> query_lengths_, key_lengths_, query_sums_, prefixes_, page_table_, parents_, query_positions_,
        key_positions_;
    GuardedArray<std::int64_t> key_sums_;
};

}  // namespace headwise::test
