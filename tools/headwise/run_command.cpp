#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "attention_file_arguments.hpp"
#include "commands.hpp"
#include "engine_options.hpp"
#include "headwise/attention.hpp"
#include "headwise/cpu.hpp"
#include "headwise/reference.hpp"
#include "output_file.hpp"
#include "thread_team.hpp"

namespace headwise::tools {
namespace {

struct RunArguments {
    std::string input, output;
    AttentionFileArguments file;
    int threads = 0;  // 0: as many as there are cores
    bool reference = false;
};

/// The naive loops in f64 on the same tensors, rounded to f32 at the end.
void run_reference(const AttentionTensors& tensors, const AttentionOptions& options) {
    const auto widened = [](const FloatBuffer& buffer) { return std::vector<double>(buffer.span().begin(), buffer.span().end()); };
    const auto view = []<class T>(T* data, const auto& like) { return TensorView<T, 4>(data, like.extent, like.stride); };
    const std::vector<double> query = widened(tensors.query_data), key = widened(tensors.key_data),
                              value = widened(tensors.value_data);
    std::vector<double> out(tensors.out_data.span().size());
    reference::attention<double>(view(query.data(), tensors.query()), view(key.data(), tensors.key()),
                                 view(value.data(), tensors.value()), view(out.data(), tensors.out()), options);
    std::ranges::transform(out, tensors.out_data.data(), [](double x) { return static_cast<float>(x); });
}

std::string run_engine(const AttentionTensors& tensors, const AttentionOptions& options, int threads) {
    ThreadTeam team(threads);
    const double seconds = team.run([&] {
        const double start = now();
        attention(tensors.query(), tensors.key(), tensors.value(), tensors.out(), options);
        return now() - start;
    });
    return fmt::format("{}, {} thread{}, {:.3g} ms", isa_name(active_isa()), threads, threads == 1 ? "" : "s", 1e3 * seconds);
}

void run(const RunArguments& arguments) {
    const AttentionTensors tensors = read_attention_tensors(arguments.input, arguments.file.options());
    const AttentionOptions options{.causal = tensors.sizes.causal, .scale = tensors.sizes.scale};
    {
        const OutputFile writable(arguments.output);
    }  // fail before the work, not after
    std::string how = "nothing to compute";
    if (tensors.out_data.size() > 0) {
        if (arguments.reference) {
            run_reference(tensors, options);
            how = "naive f64 reference";
        } else {
            how = run_engine(tensors, options, arguments.threads > 0 ? arguments.threads : cpu_info().logical_cores);
        }
    }
    const FloatTensor out{"out", tensors.out_extents(), tensors.out_data.span()};
    write_safetensors(arguments.output, std::span(&out, 1));
    fmt::print("{}: out [{}] ({})\n", arguments.output, fmt::join(out.shape, ", "), how);
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
    const auto threads = command->add_option("--threads", arguments->threads, "default: all cores")->type_name("N");
    const auto isa = add_isa_option(*command);
    command->add_flag("--reference", arguments->reference, "run the naive f64 loops instead of the engine");
    command->callback([arguments, isa, threads] {
        if (threads->count() > 0) check_threads({arguments->threads});
        choose_isa(*isa);
        run(*arguments);
    });
}

}  // namespace headwise::tools
