#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "arguments/attention_file.hpp"
#include "arguments/attention_variants.hpp"
#include "arguments/attention_weights.hpp"
#include "arguments/engine_options.hpp"
#include "buffers/memory_limit.hpp"
#include "commands/attention_weights_tensors.hpp"
#include "commands/commands.hpp"
#include "engine/attention/call_memory.hpp"
#include "files/output_file.hpp"
#include "headwise/attention.hpp"
#include "headwise/attention_weights.hpp"
#include "headwise/cpu.hpp"
#include "headwise/reference.hpp"
#include "measure/thread_team.hpp"
#include "text/printable.hpp"
#include "workloads/case_memory.hpp"

namespace headwise::tools {
namespace {

struct RunArguments {
    std::string input, output, isa;
    AttentionFileArguments file;
    AttentionVariantArguments variants;
    AttentionWeightsArguments weights;
    int threads = 0;  // 0: as many as there are cores
    bool reference = false, log_sum_exp = false, explain = false;
};

/// One call on the tensors of a file, and the memory of all that it reads and writes.
struct RunCall {
    AttentionRules rules;
    AttentionTensors tensors;
    std::optional<RopeTable> rope;
    AttentionOptions options;
    std::int64_t shared_keys = 0;
    FloatBuffer log_sum_exp;  // [batch, heads, length]; without memory unless asked for
    AttentionWeightsTensors weights;

    bool empty() const { return tensors.out_data.size() == 0; }

    TensorView<float, 3> log_sum_exp_view() const {
        const Extents& q = tensors.query_extents;
        return {log_sum_exp.data(), {q[0], q[1], q[2]}};
    }

    AttentionArguments arguments() const {
        AttentionArguments result = tensors.with_tensors(rules.arguments());
        result.log_sum_exp = log_sum_exp_view();
        result.shared_keys = shared_keys;
        return result;
    }
};

/// The farthest position by which a query or key is rotated.
std::int64_t farthest_position(const AttentionFile& file, const AttentionShape& shape, const AttentionRules& rules) {
    constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
    std::int64_t farthest = std::max(shape.query_length, shape.key_length);
    for (const auto& [name, positions] :
         {std::pair("q_positions", &rules.query_positions), std::pair("k_positions", &rules.key_positions)}) {
        std::int64_t farthest_given = 0;
        for (const std::int64_t position : positions->values()) farthest_given = std::max(farthest_given, std::abs(position));
        file.expect(farthest_given <= kMost,
                    fmt::format("tensor '{}' has the number {}: expected {} to {}", name, -farthest_given, -kMost, kMost));
        farthest = std::max(farthest, farthest_given);
    }
    return farthest;
}

int thread_count(const RunArguments& arguments) {
    return arguments.threads > 0 ? arguments.threads : cpu_info().usable_cores;
}

/// Before anything is read: RoPE, weights and f64 are checked when their sizes are known, which may depend on what is read.
void check_memory_of_run(const RunArguments& arguments, const AttentionFile& file) {
    const Extents q = file.extents("q");
    const double rows = static_cast<double>(q[0]) * static_cast<double>(q[1]) * static_cast<double>(q[2]);
    check_free_memory(fmt::format("'{}' takes", file.path()),
                      attention_file_bytes(file, thread_count(arguments)) + (arguments.log_sum_exp ? sizeof(float) * rows : 0));
}

/// Of the engine, which takes it last: what is checked before then must leave room for it.
double engine_workspace_bytes(const RunArguments& arguments, const RunCall& call) {
    return workspace_bytes(thread_count(arguments), call.tensors.sizes.shape.batch);
}

RopeTable checked_rope_table(const RunArguments& arguments, const RopeArgument& rope, const AttentionFile& file,
                             const RunCall& call) {
    const AttentionShape& shape = call.tensors.sizes.shape;
    const std::int64_t farthest = farthest_position(file, shape, call.rules);
    const std::size_t table = rope_table_bytes(rope.dims.value_or(shape.head_dim), farthest + 1);
    check_free_memory("the table of --rope takes", static_cast<double>(table) + engine_workspace_bytes(arguments, call));
    return make_rope_table(rope, shape.head_dim, farthest);
}

/// Of the weights of all: as AttentionWeightsTensors made sure, they fit into memory if nothing else is in f64.
std::array<std::int64_t, 4> weights_extents(const RunCall& call) {
    const Extents& q = call.tensors.query_extents;
    return {q[0], q[1], q[2], call.tensors.sizes.shape.key_length};
}

/// What the weights take in addition to the results.
double weights_scratch(const RunArguments& arguments, const RunCall& call) {
    const AttentionShape& shape = call.tensors.sizes.shape;
    if (arguments.reference) {
        double bytes = sizeof(double);
        for (const std::int64_t extent : weights_extents(call)) bytes *= static_cast<double>(extent);
        return bytes;
    }
    const std::size_t scratch =
        weights_scratch_bytes(shape, call.options, thread_count(arguments), arguments.weights.top_k.value_or(0),
                              arguments.weights.key_means ? shape.key_length : 0);
    return static_cast<double>(scratch) + engine_workspace_bytes(arguments, call);
}

/// Everything read and checked that can be checked before the call.
void prepare(const RunArguments& arguments, const AttentionFile& file, const AttentionFileOptions& file_options, RunCall& call) {
    const std::optional<RopeArgument> rope = arguments.variants.rope();
    call.options = arguments.variants.added_to({.causal = file_options.causal, .scale = file_options.scale});
    call.shared_keys = arguments.variants.shared_keys;
    check_memory_of_run(arguments, file);
    call.rules = read_attention_rules(file);
    file.expect(!call.rules.scales.given() || !call.options.scale, "tensor 'scales' is there, --scale is given: expected one");
    file.expect(rope || !call.rules.query_positions.given(), "tensor 'q_positions' is there, but no --rope that would need it");
    file.expect(rope || !call.rules.key_positions.given(), "tensor 'k_positions' is there, but no --rope that would need it");
    call.tensors = read_attention_tensors(file, file_options, call.rules);
    if (arguments.log_sum_exp) {
        const Extents& q = call.tensors.query_extents;
        call.log_sum_exp = FloatBuffer(q[0] * q[1] * q[2]);
    }
    if (rope && !call.empty()) {
        call.rope.emplace(checked_rope_table(arguments, *rope, file, call));
        call.options.rope = &*call.rope;
    }
    if (arguments.weights.given())
        call.weights = AttentionWeightsTensors(arguments.weights, file, call.tensors, weights_scratch(arguments, call));
}

std::size_t weights_size(const RunCall& call) {
    const auto [batch, heads, queries, keys] = weights_extents(call);
    return static_cast<std::size_t>(batch * heads * queries * keys);
}

/// The weights of all, of which some are asked for.
void weigh_by_reference(const RunCall& call, const TensorView<const double, 4>& query, const TensorView<const double, 4>& key) {
    const std::array<std::int64_t, 4> extents = weights_extents(call);
    std::vector<double> weights(weights_size(call));
    reference::attention_weights<double>(query, key, {weights.data(), extents}, call.options, call.rules.arguments());
    call.weights.take_weights({weights.data(), extents}, call.rules.cumulative_query_lengths.values());
}

/// Elements that the naive loops make of one head: the keys that a row sees and their weights, in vectors that grow, and with RoPE
/// the rotated queries and keys.
std::size_t reference_elements(const RunCall& call) {
    const AttentionShape& shape = call.tensors.sizes.shape;
    const std::int64_t turned = call.rope ? (shape.query_length + shape.key_length) * shape.head_dim : 0;
    return static_cast<std::size_t>(6 * shape.key_length + turned);
}

/// The naive loops in f64 on the same tensors, rounded to f32 at the end.
void run_reference(const RunCall& call) {
    const AttentionTensors& tensors = call.tensors;
    const auto widened = [](const FloatBuffer& buffer) { return std::vector<double>(buffer.span().begin(), buffer.span().end()); };
    const auto view = []<class T>(T* data, const auto& like) { return TensorView<T, 4>(data, like.extent, like.stride); };
    const auto round = [](const std::vector<double>& from, const FloatBuffer& to) {
        std::ranges::transform(from, to.data(), [](double x) { return static_cast<float>(x); });
    };
    std::size_t elements = call.log_sum_exp.span().size() + reference_elements(call);
    for (const FloatBuffer* buffer : {&tensors.query_data, &tensors.key_data, &tensors.value_data, &tensors.out_data})
        elements += buffer->span().size();
    if (!call.weights.empty()) elements += weights_size(call);
    check_free_memory("--reference: all that is in f64 takes", static_cast<double>(sizeof(double)) * static_cast<double>(elements));
    const std::vector<double> query = widened(tensors.query_data), key = widened(tensors.key_data),
                              value = widened(tensors.value_data);
    const TensorView<const double, 4> query_view = view(query.data(), tensors.query()), key_view = view(key.data(), tensors.key());
    std::vector<double> out(tensors.out_data.span().size()), log_sum_exp(call.log_sum_exp.span().size());
    reference::attention<double>(query_view, key_view, view(value.data(), tensors.value()), view(out.data(), tensors.out()),
                                 call.options, call.rules.arguments(), {log_sum_exp.data(), call.log_sum_exp_view().extent});
    round(out, tensors.out_data);
    round(log_sum_exp, call.log_sum_exp);
    if (!call.weights.empty()) weigh_by_reference(call, query_view, key_view);
}

/// Without the log-sum-exp, whose rounding would show in the weights of large logits.
void weigh(AttentionArguments arguments, const RunCall& call) {
    arguments.log_sum_exp = {};
    attention_weights(arguments, call.options, call.weights.request(), call.weights.views());
}

/// Returns how it was computed, for people; with `explain` in more lines.
std::string run_engine(const RunCall& call, int threads, bool explain) {
    ThreadTeam team(threads);
    return team.run([&] {
        const AttentionArguments arguments = call.arguments();
        const double start = now();
        attention(arguments, call.options);
        if (!call.weights.empty()) weigh(arguments, call);
        const double seconds = now() - start;
        const std::string how =
            fmt::format("({}, {} thread{}, {:.3g} ms)\n", isa_name(active_isa()), threads, threads == 1 ? "" : "s", 1e3 * seconds);
        return explain ? how + AttentionPlan(call.tensors.sizes.shape, call.options).explain(arguments).text() : how;
    });
}

std::string compute(const RunArguments& arguments, const AttentionFile& file, const RunCall& call) {
    if (call.empty()) return "(nothing to compute)\n";
    try {
        if (!arguments.reference) {
            return run_engine(call, thread_count(arguments), arguments.explain);
        }
        run_reference(call);
        return "(naive f64 reference)\n";
    } catch (const Error& error) {
        throw error_of_file(file, error);
    }
}

/// What is written.
std::vector<WrittenTensor> results(const RunArguments& arguments, const RunCall& call) {
    std::vector<WrittenTensor> tensors{{"out", call.tensors.out_extents(), call.tensors.out_data.span()}};
    if (arguments.log_sum_exp) {
        const auto& extents = call.log_sum_exp_view().extent;
        tensors.push_back({"log_sum_exp", {extents.begin(), extents.end()}, call.log_sum_exp.span()});
    }
    std::ranges::copy(call.weights.written(), std::back_inserter(tensors));
    return tensors;
}

/// Throws UsageError where something is asked of the engine.
void check_reference(const RunArguments& arguments) {
    if (arguments.explain) throw UsageError("--explain describes what the engine does: it cannot be combined with --reference");
    if (!arguments.isa.empty()) throw UsageError("--isa chooses kernels of the engine: it cannot be combined with --reference");
    if (arguments.threads > 1) throw UsageError(fmt::format("--threads is {}: --reference runs on one thread", arguments.threads));
}

void run(const RunArguments& arguments) {
    if (arguments.reference) check_reference(arguments);
    arguments.weights.check(arguments.reference);
    const AttentionFileOptions file_options = arguments.file.options();
    const AttentionFile file(arguments.input, file_options.layout);
    RunCall call;
    prepare(arguments, file, file_options, call);
    check_outputs_are_apart(std::array{NamedPath{"--output", arguments.output}}, std::array{NamedPath{"--input", arguments.input}});
    {
        const OutputFile writable(arguments.output);
    }  // fail before the work, not after
    file.note_unused_tensors(Expected::ignored);
    const std::string how = compute(arguments, file, call);
    const std::vector<WrittenTensor> written = results(arguments, call);
    write_safetensors(arguments.output, written);
    std::vector<std::string> names;
    for (const WrittenTensor& tensor : written) names.push_back(fmt::format("{} [{}]", tensor.name, fmt::join(tensor.shape, ", ")));
    fmt::print("{}: {} {}", printable(arguments.output), fmt::join(names, ", "), how);
}

}  // namespace

void add_run_command(CLI::App& program) {
    CLI::App* command = program.add_subcommand("run", "Attention on your own tensors: q, k and v of a safetensors file");
    const auto arguments = std::make_shared<RunArguments>();
    command->add_option("--input", arguments->input, "safetensors file with q [B,Hq,Sq,D], k [B,Hkv,Skv,D], v [B,Hkv,Skv,Dv], F32")
        ->type_name("FILE")
        ->required();
    command->add_option("--output", arguments->output, "safetensors file to write: out [B,Hq,Sq,Dv], F32")
        ->type_name("FILE")
        ->required();
    arguments->file.add_to(*command);
    arguments->variants.add_to(*command);
    command->add_flag("--lse", arguments->log_sum_exp,
                      "also write log_sum_exp [B,Hq,Sq], F32: the natural log of each row's denominator");
    arguments->weights.add_to(*command);
    const auto threads = command->add_option("--threads", arguments->threads, "default: all cores")->type_name("N");
    const auto isa = add_isa_option(*command);
    command->add_flag("--explain", arguments->explain, "print kernel, blocks, tasks and costs of this call");
    command->add_flag("--reference", arguments->reference, "run the naive f64 loops instead of the engine");
    command->footer(attention_rules_help(Rope::supported));
    command->callback([arguments, isa, threads] {
        if (threads->count() > 0) check_threads({arguments->threads});
        arguments->isa = *isa;
        if (!arguments->reference) choose_isa(*isa);
        run(*arguments);
    });
}

}  // namespace headwise::tools
