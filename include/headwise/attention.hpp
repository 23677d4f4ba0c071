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

/// Which keys a query may see. `top_left`: query i sees keys 0..i. `bottom_right`: the last query sees every key, i.e. query i
/// sees keys 0..i + (key_length - query_length). The two agree when the lengths do.
enum class Causal { none, top_left, bottom_right };

/// Where query i sits among the keys' positions 0, 1, ...: at i + (keys - queries), so that the last query is the last key, or at
/// i.
enum class Alignment { bottom_right, top_left };

/// A query sees the keys at positions from its own - left to its own + right; -1: no bound on that side.
struct Window {
    std::int64_t left = -1, right = -1;
};

/// The largest head and value dimension: 512 and 64 more for RoPE, as absorbed multi-head latent attention has it. A worker keeps
/// 64 query rows and five partial states of them, which stay within 2 MiB, and so in its second cache, up to here.
inline constexpr std::int64_t kMaxHeadDim = 576;

/// The sizes of one attention call. Query head h reads key/value head h / (num_heads / num_kv_heads): 1 query head per key/value
/// head is multi-head, all of them on one is multi-query, anything between is grouped-query attention.
struct AttentionShape {
    std::int64_t batch = 1;
    std::int64_t num_heads = 1;     ///< query heads; a multiple of num_kv_heads
    std::int64_t num_kv_heads = 1;  ///< key/value heads
    std::int64_t query_length = 0;  ///< of the longest sequence; may be 0: nothing to do
    std::int64_t key_length = 0;    ///< of the longest sequence; may be 0: out is 0
    std::int64_t head_dim = 0;      ///< of query and key, 1..kMaxHeadDim
    std::int64_t value_dim = 0;     ///< of value and out, 1..kMaxHeadDim; 0 means head_dim
};

/// What is one task of attention. `heads`: all rows of one key/value head of a sequence. `heads_queries`: a block of its rows.
/// `automatic`: that too, or where there are few blocks one part of a block's keys. Of keys that sequences share the rows are those
/// of all sequences that do. Decides about speed alone: the bits of the result are the same.
enum class AttentionSchedule { automatic, heads, heads_queries };

struct AttentionOptions {
    Causal causal = Causal::none;
    Alignment alignment = Alignment::bottom_right;  ///< of positions where causal is none; otherwise causal says it
    Window window{};
    std::optional<float> scale{};  ///< of the logits; 1/sqrt(head_dim) unless given. At most 2e38 in magnitude.
    /// Logits become softcap * tanh(logit / softcap); 0: none. Below 2e38.
    float softcap = 0;
    /// Turns queries and keys for their positions before they are multiplied; keys that are turned already (as KvCache does when it
    /// appends them) need none. Null: none. Must outlive the plan.
    const RopeTable* rope = nullptr;
    /// Whether calls may have AttentionArguments::shared_keys. Costs the workspace 8 bytes for each query and query head.
    bool shared_prefix = false;
    std::optional<Isa> isa{};  ///< whose kernels to run; active_isa() unless given. Must be available.
    int max_threads = 0;       ///< at most this many tasks at once; 0: as many as the calling thread's task arena has, and
                               ///< CpuInfo::cpu_quota feeds
    AttentionSchedule schedule = AttentionSchedule::automatic;
};

/// What keeps a call from being faster, as far as its arithmetic and its reads tell: below 4 FLOPs for each byte no machine of
/// today can be kept busy from memory.
enum class AttentionLimit { compute, bandwidth };

/// What a plan will do and what it costs. Where sequences differ, blocks and chunks are those of the largest.
struct AttentionExplanation {
    Isa isa = Isa::scalar;
    std::string kernel;            ///< "query-lanes" (prefill), "key-rows" (decode), or both
    std::string variants;          ///< all that is asked for beside plain attention; every one of them is part of the fused path
    std::int64_t query_block = 0;  ///< (query, head in group) pairs that share one pass over the keys
    std::int64_t key_block = 0;    ///< keys whose scores are held at once
    std::int64_t key_chunks = 0;   ///< parts of the key range that are reduced on their own and merged in index order
    bool keys_split = false;       ///< whether those parts, of shared or of other keys, are tasks of their own
    std::int64_t tasks = 0;        ///< pieces of work that workers draw in turn, of one head the costliest first
    int workers = 1;               ///< oneTBB tasks that draw them; 1: the calling thread alone
    double flops = 0;  ///< 2 * (head_dim + value_dim) per query-key pair that positions and lengths allow; masks are not read
    double bytes = 0;  ///< of query, key, value and out, each once; of keys that sequences share once for all of these
    double least_task_flops = 0, most_task_flops = 0;
    AttentionLimit limit = AttentionLimit::compute;
    std::size_t workspace_bytes = 0;

    HEADWISE_API std::string text() const;  ///< all of it, for people
};

/// Fused scale-softmax attention with all that AttentionArguments lists, planned once and run many times.
///
/// out[b,h,i,:] = sum_j softmax_j(scale * <query[b,h,i,:], key[b,h/g,j,:]>) value[b,h/g,j,:] over the allowed keys j, g = num_heads
/// / num_kv_heads; AttentionArguments has what else becomes of the logits. All accumulation in f32. A query with no allowed key
/// gives 0. NaN and Inf at allowed positions come out as the formula gives them; at other positions they have no effect.
///
/// The same inputs for a sequence, with the same options, give the same bits on the same ISA: for any thread count, in any batch
/// and next to any neighbours, padded or packed, in pages or not. With shared keys as well: whoever else shares them.
class AttentionPlan {
  public:
    /// Checks everything about shape and options; throws Error. The number of workers is that of the calling
    /// thread's task arena, where CpuInfo::cpu_quota allows.
    HEADWISE_API explicit AttentionPlan(const AttentionShape& shape, const AttentionOptions& options = {});

    /// Bytes that run() needs, for any key length. Below 2 MiB a worker, and 128 bytes a sequence. With options.shared_prefix 8
    /// bytes more a sequence, and 8 bytes for each of its planned queries and query heads.
    std::size_t workspace_bytes() const noexcept { return workspace_bytes_; }

    /// Computes attention. The arguments fit the planned batch, heads and dimensions; query_length is that of the plan, or at most
    /// that where sequences are packed; lengths of keys may be any and, as everything else in the arguments, differ between runs.
    /// `workspace` holds at least workspace_bytes(), any alignment, for this run alone and apart from all tensors; its content does
    /// not matter.
    ///
    /// For finite inputs far from overflow, in rounding to nearest, each element of out is within (exp(2 E) - 1 + 2 K u) V of exact
    /// arithmetic. u = 2^-24; V is the largest magnitude in its column of the values that the row sees; K = min(n, 480) +
    /// 16 for n keys; E bounds the error of the row's logits s_j, in nats:
    ///     E = u * max_j ((head_dim + 4) * |scale| * sum_d |query_d key_jd| + 2 * (max s - s_j) + 16)
    /// RoPE and rules on scores add terms: docs/numerics.md, which has a bound for log_sum_exp, too, and the full form of this one,
    /// in which keys without weight, as those with a bias of -1e9, count for nothing.
    ///
    /// Allocates nothing. Thread-safe: one plan may run on many threads at once, each with its own workspace.
    /// Throws Error before anything is written.
    HEADWISE_API void run(const AttentionArguments& arguments, std::span<std::byte> workspace) const;
    void run(const TensorView<const float, 4>& query, const TensorView<const float, 4>& key,
             const TensorView<const float, 4>& value, const TensorView<float, 4>& out, std::span<std::byte> workspace) const {
        run({.query = query, .key = key, .value = value, .out = out}, workspace);
    }

    /// What run() does: for the planned key length, for another one, or for given arguments (of which tensors' data is not read).
    AttentionExplanation explain() const { return explain(shape_.key_length); }
    HEADWISE_API AttentionExplanation explain(std::int64_t key_length) const;
    HEADWISE_API AttentionExplanation explain(const AttentionArguments& arguments) const;

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

/// A plan and a run in one call, with a workspace from the library's pool.
HEADWISE_API void attention(const AttentionArguments& arguments, const AttentionOptions& options = {});
inline void attention(const TensorView<const float, 4>& query, const TensorView<const float, 4>& key,
                      const TensorView<const float, 4>& value, const TensorView<float, 4>& out,
                      const AttentionOptions& options = {}) {
    attention({.query = query, .key = key, .value = value, .out = out}, options);
}

}  // namespace headwise
