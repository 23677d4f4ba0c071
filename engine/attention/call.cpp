#include "engine/attention/call.hpp"

#include <cmath>
#include <numbers>
#include <string>

#include "engine/contract/argument_list.hpp"
#include "engine/dispatch/isa.hpp"
#include "engine/tensor/steps.hpp"
#include "headwise/error.hpp"

namespace headwise {
namespace {

double logit_unit_of(const AttentionOptions& options, const AttentionArguments& arguments) {
    if (options.softcap != 0) return 2 * std::numbers::log2e / static_cast<double>(options.softcap);
    return arguments.score_function.apply ? 1 : std::numbers::log2e;
}

}  // namespace

AttentionCall::AttentionCall(const AttentionShape& planned, const AttentionOptions& given, const AttentionArguments& checked,
                             const KernelTable& table)
    : shape(planned),
      options(given),
      arguments(checked),
      kernels(table),
      group(planned.num_heads / planned.num_kv_heads),
      logit_unit(logit_unit_of(given, checked)),
      common_query_scale(
          query_scale(given.scale.value_or(static_cast<float>(1 / std::sqrt(static_cast<double>(planned.head_dim)))))) {}

void check_execution(const AttentionOptions& options) {
    if (options.max_threads < 0)
        throw Error("options.max_threads is " + std::to_string(options.max_threads) + ": expected 0 (no limit) or more");
    if (options.schedule != AttentionSchedule::automatic && options.schedule != AttentionSchedule::heads &&
        options.schedule != AttentionSchedule::heads_queries)
        throw Error("options.schedule is " + std::to_string(static_cast<int>(options.schedule)) +
                    ": not a value of AttentionSchedule");
    if (options.isa) require_available(*options.isa, "options.isa");
}

AttentionArguments with_usable_strides(AttentionArguments a) {
    const auto use = [](const Argument&, auto& x) {
        if constexpr (requires { x.stride; })
            if (is_given(x)) x = without_unused_strides(x);
    };
    for_each_tensor(a, use);
    for_each_rule(a, use);
    return a;
}

}  // namespace headwise
