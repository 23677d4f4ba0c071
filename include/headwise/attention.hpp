#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "headwise/cpu.hpp"
#include "headwise/tensor.hpp"

namespace headwise {

/// Which keys a query may see. `top_left`: query i sees keys 0..i. `bottom_right`: the last query sees every key, i.e. query i
/// sees keys 0..i + (key_length - query_length). The two agree when the lengths do.
enum class Causal { none, top_left, bottom_right };

/// The sizes of one attention call. Query head h reads key/value head h / (num_heads / num_kv_heads): 1 query head per key/value
/// head is multi-head, all of them on one is multi-query, anything between is grouped-query attention.
struct AttentionShape {
    std::int64_t batch = 1;
    std::int64_t num_heads = 1;     ///< query heads; a multiple of num_kv_heads
    std::int64_t num_kv_heads = 1;  ///< key/value heads
    std::int64_t query_length = 0;  ///< may be 0: nothing to do
    std::int64_t key_length = 0;    ///< may be 0: out is 0
    std::int64_t head_dim = 0;      ///< of query and key, 1..512
    std::int64_t value_dim = 0;     ///< of value and out, 1..512; 0 means head_dim
};

struct AttentionOptions {
    Causal causal = Causal::none;
    std::optional<float> scale{};  ///< of the logits; 1/sqrt(head_dim) unless given. At most 2e38 in magnitude.
    std::optional<Isa> isa{};      ///< whose kernels to run; active_isa() unless given. Must be available.
    int max_threads = 0;           ///< at most this many tasks at once; 0: as many as the calling thread's task arena has
};

/// What a plan will do and what it costs.
struct AttentionExplanation {
    Isa isa = Isa::scalar;
    std::string kernel;            ///< "query-lanes" (prefill) or "key-rows" (decode)
    std::int64_t query_block = 0;  ///< (query, head in group) pairs that share one pass over the keys
    std::int64_t key_block = 0;    ///< keys whose scores are held at once
    std::int64_t key_chunks = 0;   ///< parts of the key range that are reduced on their own and merged in index order
    bool keys_split = false;       ///< whether those parts are tasks of their own
    std::int64_t tasks = 0;        ///< pieces of work that workers draw in turn, of one head the costliest first
    int workers = 1;               ///< oneTBB tasks that draw them; 1: the calling thread alone
    double flops = 0;              ///< 2 * (head_dim + value_dim) per allowed query-key pair
    double bytes = 0;              ///< of query, key, value and out, each once
    std::size_t workspace_bytes = 0;

    std::string text() const;  ///< all of it, for people
};

/// Fused scale-softmax attention, planned once and run many times.
///
/// out[b,h,i,:] = sum_j softmax_j(scale * <query[b,h,i,:], key[b,h/g,j,:]>) value[b,h/g,j,:] over the allowed keys j, g = num_heads
/// / num_kv_heads. All accumulation in f32. A query with no allowed key gives 0. NaN and Inf at allowed positions come out as the
/// formula gives them; at other positions they have no effect.
///
/// The same inputs give the same bits on the same ISA, for any thread count and any batch.
class AttentionPlan {
  public:
    /// Checks everything about shape and options; throws Error. The number of workers is that of the calling
    /// thread's task arena.
    explicit AttentionPlan(const AttentionShape& shape, const AttentionOptions& options = {});

    /// Bytes that run() needs, for any key length. Below 1 MiB a worker.
    std::size_t workspace_bytes() const noexcept { return workspace_bytes_; }

    /// Computes attention. All views are [batch, heads, length, dim] in this order with any strides between, the last one 1:
    ///   query [batch, num_heads, query_length, head_dim], key [batch, num_kv_heads, any length, head_dim],
    ///   value [batch, num_kv_heads, as key, value_dim], out [batch, num_heads, query_length, value_dim].
    /// The key length may differ from the planned one and between runs. `out` may not overlap an input or itself.
    /// `workspace` holds at least workspace_bytes(), any alignment, for this run alone; its content does not matter.
    /// Allocates nothing. Thread-safe: one plan may run on many threads at once, each with its own workspace.
    /// Throws Error before anything is written.
    void run(const TensorView<const float, 4>& query, const TensorView<const float, 4>& key,
             const TensorView<const float, 4>& value, const TensorView<float, 4>& out, std::span<std::byte> workspace) const;

    /// What run() does, for the planned key length or another one.
    AttentionExplanation explain() const { return explain(shape_.key_length); }
    AttentionExplanation explain(std::int64_t key_length) const;

    const AttentionShape& shape() const noexcept { return shape_; }
    const AttentionOptions& options() const noexcept { return options_; }
    Isa isa() const noexcept { return isa_; }

  private:
    AttentionShape shape_;
    AttentionOptions options_;
    Isa isa_;
    int workers_;
    std::size_t workspace_bytes_;
};

/// A plan and a run in one call, with a workspace from the library's pool. Views as in AttentionPlan::run().
void attention(const TensorView<const float, 4>& query, const TensorView<const float, 4>& key,
               const TensorView<const float, 4>& value, const TensorView<float, 4>& out, const AttentionOptions& options = {});

}  // namespace headwise
