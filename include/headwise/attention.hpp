#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "headwise/attention_arguments.hpp"
#include "headwise/cpu.hpp"
#include "headwise/export.hpp"
#include "headwise/rope.hpp"
#include "headwise/tensor.hpp"

namespace headwise {

/// Which keys a query may see. `top_left`: query i sees keys 0..i. `bottom_right`: the last query sees every key, so query i sees
/// keys 0..i + (key_length - query_length). Both are the same if the lengths are equal.
enum class Causal { none, top_left, bottom_right };

/// The position of query i among the keys' positions 0, 1, ... `bottom_right`: i + (keys - queries), so that the last query is at
/// the last key. `top_left`: i.
enum class Alignment { bottom_right, top_left };

/// A query at position p sees the keys at positions p - left to p + right. -1: no bound on that side.
struct Window {
    std::int64_t left = -1, right = -1;
};

/// The largest head and value dimension: 512 plus 64 for RoPE, as in absorbed multi-head latent attention. Up to this size, a
/// worker's scratch, 64 query rows and five partial states of them, stays within 2 MiB.
inline constexpr std::int64_t kMaxHeadDim = 576;

/// The sizes of one attention call. Query head h reads key/value head h / (num_heads / num_kv_heads). One query head per key/value
/// head is multi-head attention, one key/value head for all query heads is multi-query, anything between is grouped-query.
struct AttentionShape {
    std::int64_t batch = 1;
    std::int64_t num_heads = 1;     ///< query heads; a multiple of num_kv_heads
    std::int64_t num_kv_heads = 1;  ///< key/value heads
    std::int64_t query_length = 0;  ///< of the longest sequence; may be 0: nothing to do
    std::int64_t key_length = 0;    ///< of the longest sequence; may be 0: out is 0
    std::int64_t head_dim = 0;      ///< of query and key, 1..kMaxHeadDim
    std::int64_t value_dim = 0;     ///< of value and out, 1..kMaxHeadDim; 0 means head_dim
};

/// What one task of attention is. `heads`: all rows of one key/value head of a sequence. `heads_queries`: one block of these rows.
/// `automatic`: a block, or one key range of a block if there are few blocks. For a common prefix, the rows are those of all
/// sequences that share it. Affects speed only, not the bits of the result.
enum class AttentionSchedule { automatic, heads, heads_queries };

struct AttentionOptions {
    Causal causal = Causal::none;
    Alignment alignment = Alignment::bottom_right;  ///< of query positions if causal is none; otherwise causal implies it
    Window window{};
    std::optional<float> scale{};  ///< of the logits; default 1/sqrt(head_dim). At most 2e38 in magnitude.
    /// Logits become softcap * tanh(logit / softcap). 0: no softcap. Must be below 2e38.
    float softcap = 0;
    /// Rotates queries and keys by their positions before they are multiplied. Null: no rotation; use that for keys that are
    /// already rotated, such as keys appended to a KvCache with a table. Must outlive the plan.
    const RopeTable* rope = nullptr;
    /// Whether calls may use AttentionArguments::shared_keys. Adds 8 bytes per sequence and 8 per query of each query head to the
    /// workspace.
    bool shared_prefix = false;
    std::optional<Isa> isa{};  ///< the kernels to run; default active_isa(). Must be available.
    int max_threads = 0;       ///< at most this many tasks at once; 0: as many as the calling thread's task arena allows, in
                               ///< one of oneTBB's default size at most CpuInfo::cpu_quota
    AttentionSchedule schedule = AttentionSchedule::automatic;
};

/// What is assumed to limit a call: its reads if it has fewer than 4 FLOPs per byte, otherwise its arithmetic.
enum class AttentionLimit { compute, bandwidth };

/// What a plan will do, and what it costs. If sequences differ, blocks and chunks are those of the largest.
struct AttentionExplanation {
    Isa isa = Isa::scalar;
    std::string kernel;            ///< "query-lanes" (prefill), "key-rows" (decode), or both
    std::string variants;          ///< the variants in use; all of them run in the fused path
    std::int64_t query_block = 0;  ///< (query, head in group) pairs that share one pass over the keys
    std::int64_t key_block = 0;    ///< keys whose scores a worker holds at once
    std::int64_t key_chunks = 0;   ///< key ranges: each is reduced to a partial state of its own; these are merged in index order
    bool keys_split = false;       ///< whether each key range, of a common prefix or of other keys, is a task of its own
    std::int64_t tasks = 0;        ///< number of tasks that workers draw; within a head the most expensive first
    int workers = 1;               ///< oneTBB tasks that draw them; 1: only the calling thread
    double flops = 0;  ///< 2 * (head_dim + value_dim) per query-key pair that positions and lengths allow; masks are not read
    double bytes = 0;  ///< of query, key, value and out, each counted once; a common prefix counts once, not per sequence
    double least_task_flops = 0, most_task_flops = 0;
    AttentionLimit limit = AttentionLimit::compute;
    std::size_t workspace_bytes = 0;

    HEADWISE_API std::string text() const;  ///< all of the above, as text for people
};

/// Fused attention (scale, softmax, weighted sum) with every rule of AttentionArguments, planned once and run many times.
///
/// out[b,h,i,:] = sum_j softmax_j(scale * <query[b,h,i,:], key[b,h/g,j,:]>) value[b,h/g,j,:] over the allowed keys j, g = num_heads
/// / num_kv_heads. AttentionArguments lists what else is applied to the logits. All accumulation is in f32. A query with no allowed
/// key gives 0. NaN and Inf at allowed positions give what the formula gives; at other positions they have no effect.
///
/// The same inputs of a sequence with the same options give the same bits on the same ISA: for any thread count, in any batch,
/// padded, packed or paged. With the same shared_keys, it does not matter which other sequences share them.
class AttentionPlan {
  public:
    /// Checks shape and options; throws Error. Plans for as many workers as AttentionOptions::max_threads says.
    HEADWISE_API explicit AttentionPlan(const AttentionShape& shape, const AttentionOptions& options = {});

    /// Bytes that run() needs, whatever the key lengths: below 2 MiB per worker, plus 128 bytes per sequence. options.shared_prefix
    /// adds 8 bytes per sequence, and 8 per planned query of each query head.
    std::size_t workspace_bytes() const noexcept { return workspace_bytes_; }

    /// Computes attention. The arguments must match the planned batch, heads and dimensions. query_length equals the plan's, or is
    /// at most that if sequences are packed. Key lengths are free; they and everything else in the arguments may change from run to
    /// run. `workspace` has at least workspace_bytes() bytes at any alignment. No other run may use it at the same time, and it
    /// must not overlap any tensor. Its contents do not matter.
    ///
    /// For finite inputs far from overflow, in rounding to nearest, each element of out is within (exp(2 E) - 1 + 2 K u) V of exact
    /// arithmetic. u = 2^-24; V is the largest magnitude in its column of the values that the row sees; K = min(n, 480) + 16 for n
    /// keys; E bounds the error of the row's logits s_j, in nats:
    ///     E = u * max_j ((head_dim + 4) * |scale| * sum_d |query_d key_jd| + 2 * (max s - s_j) + 16)
    /// RoPE and rules on scores add terms; see docs/numerics.md. It also has a bound for log_sum_exp and the full form of this one,
    /// in which keys without weight (a bias of -1e9, say) do not count.
    ///
    /// Allocates nothing. Thread-safe: one plan may run on many threads at once, each with its own workspace. Throws Error before
    /// anything is written.
    HEADWISE_API void run(const AttentionArguments& arguments, std::span<std::byte> workspace) const;
    void run(const TensorView<const float, 4>& query, const TensorView<const float, 4>& key,
             const TensorView<const float, 4>& value, const TensorView<float, 4>& out, std::span<std::byte> workspace) const {
        run({.query = query, .key = key, .value = value, .out = out}, workspace);
    }

    /// What run() would do: for the planned key length, for another one, or for given arguments (the data of tensors is not read).
    /// With `workers`, what it would do if the plan had been made in a task arena of that many: the engine's own arithmetic, for
    /// tools that predict.
    AttentionExplanation explain() const { return explain(shape_.key_length); }
    HEADWISE_API AttentionExplanation explain(std::int64_t key_length, std::optional<int> workers = {}) const;
    HEADWISE_API AttentionExplanation explain(const AttentionArguments& arguments, std::optional<int> workers = {}) const;

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

/// Plans and runs in one call, with a workspace from the library's pool.
HEADWISE_API void attention(const AttentionArguments& arguments, const AttentionOptions& options = {});
inline void attention(const TensorView<const float, 4>& query, const TensorView<const float, 4>& key,
                      const TensorView<const float, 4>& value, const TensorView<float, 4>& out,
                      const AttentionOptions& options = {}) {
    attention({.query = query, .key = key, .value = value, .out = out}, options);
}

}  // namespace headwise
