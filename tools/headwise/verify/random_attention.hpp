#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "buffers/random_numbers.hpp"
#include "headwise/attention.hpp"

namespace headwise::tools {

/// A call of attention drawn at random: sizes, memory layouts, any of the variants and their combinations, and values. Memory that
/// must not be read, such as what lies between rows, beyond a sequence's length, in pages of nobody, and behind masks, holds NaN or
/// worse. What it points to is in itself; it stays where it was made.
class RandomAttention {
  public:
    /// Whether positions start elsewhere than at the first key.
    enum class FirstPositions { none, sometimes, always };

    /// What `seed` stands for, with the values of all tensors from `draw`. Small: of at most about `cost` multiply-adds.
    explicit RandomAttention(std::uint64_t seed, std::uint64_t draw = 0, double cost = 3e5,
                             FirstPositions first_positions = FirstPositions::sometimes);
    RandomAttention(const RandomAttention&) = delete;
    RandomAttention& operator=(const RandomAttention&) = delete;

    AttentionShape shape;
    AttentionOptions options;
    AttentionArguments arguments;

    /// In a line, for people.
    std::string text() const;

    /// Of the longest sequence that there is.
    std::int64_t most_queries() const, most_keys() const;

    /// NaN in out and log_sum_exp.
    void clear_results();

  private:
    bool chance() { return random_.chance(0.15); }
    float random_scale(RandomNumbers& random) const;
    void draw_shape(double cost);
    void draw_lengths();
    void draw_pages();
    void draw_shared_keys();
    void draw_options();
    void draw_logit_rules();
    void draw_masks();
    void draw_tree();
    void draw_rope();
    void draw_first_positions(std::uint64_t seed, FirstPositions which);
    void allocate_tensors();
    void fill_values(std::uint64_t seed);
    void spoil_unused();

    /// Extents in any order of memory, with gaps; the memory is NaN.
    TensorView<float, 4> make_tensor(std::vector<float>& memory, const std::array<std::int64_t, 4>& extents);
    std::array<std::int64_t, 4> pair_extents();

    RandomNumbers random_;
    bool ragged_ = false, paged_ = false, shares_ = false;
    std::int64_t page_size_ = 0, pages_ = 0;
    float deviation_ = 1;
    double hidden_bias_ = 0;
    std::vector<std::int32_t> query_counts_, key_counts_;  // of each sequence
    std::vector<std::int32_t> query_sums_, prefixes_, page_table_, parents_, query_positions_, key_positions_;
    std::vector<std::int64_t> key_sums_, first_query_positions_, first_key_positions_;
    std::vector<float> query_, key_, value_, out_, log_sum_exp_, bias_, scales_, slopes_, sinks_;
    std::vector<std::uint8_t> mask_, mask_bits_, blocks_;
    std::unique_ptr<RopeTable> rope_;
};

}  // namespace headwise::tools
