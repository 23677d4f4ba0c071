#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "headwise/cpu.hpp"
#include "headwise/reference.hpp"
#include "measure/accuracy.hpp"
#include "measure/thread_team.hpp"
#include "verify/attention.hpp"
#include "verify/checks.hpp"
#include "verify/random_product.hpp"

namespace headwise::tools {
namespace {

std::vector<float> engine_product(const RandomProduct& p, const TensorView<const float, 2>& a, const TensorView<const float, 2>& b,
                                  int max_threads) {
    std::vector<float> c(static_cast<std::size_t>(p.m * p.n));
    p.run(a, b, c, {.max_threads = max_threads});
    return c;
}

ResultErrors matrix_errors(const std::vector<float>& engine, const std::vector<float>& naive, const std::vector<double>& exact) {
    ResultErrors errors;
    for (std::size_t i = 0; i < exact.size(); ++i) {
        const double error = absolute_difference(static_cast<double>(engine[i]), exact[i]);
        errors.naive = std::max(errors.naive, std::abs(static_cast<double>(naive[i]) - exact[i]));
        errors.largest = std::max(errors.largest, std::abs(exact[i]));
        if (error <= errors.engine) continue;
        errors.engine = error;
        errors.worst = fmt::format("element {} is {}, expected {}", i, engine[i], exact[i]);
    }
    return errors;
}

/// Values drawn anew; on one thread and on all of the arena.
ResultErrors run_product(const RandomProduct& p, RandomNumbers& random) {
    const std::vector<float> a = random_values(p.m * p.k, random), b = random_values(p.k * p.n, random);
    const TensorView<const float, 2> a_view = p.a(a), b_view = p.b(b);
    const std::vector<float> engine = engine_product(p, a_view, b_view, 1), on_all = engine_product(p, a_view, b_view, 0);

    std::vector<float> naive(engine.size());
    reference::matmul<float>(a_view, b_view, {naive.data(), {p.m, p.n}});
    const std::vector<double> wide_a = widened(a), wide_b = widened(b);
    std::vector<double> exact(engine.size());
    reference::matmul<double>(RandomProduct::matrix(wide_a, p.m, p.k, p.transpose_a),
                              RandomProduct::matrix(wide_b, p.k, p.n, p.transpose_b), {exact.data(), {p.m, p.n}});
    ResultErrors errors = matrix_errors(engine, naive, exact);
    if (std::memcmp(engine.data(), on_all.data(), engine.size() * sizeof(float)) != 0)
        errors.wrong = "other bits with another number of threads";
    return errors;
}

/// A handful of numbers may come out of the naive loops nearly exact by luck: more draws tell a fault from it.
ResultErrors product_errors(const RandomProduct& product, RandomNumbers& random) {
    constexpr int kDraws = 64;
    ResultErrors errors;
    for (int draw = 0; draw < kDraws; ++draw) {
        errors.add(run_product(product, random));
        if (errors.hold() || !errors.wrong.empty() || std::isinf(errors.engine)) break;
    }
    return errors;
}

}  // namespace

double percentage(const ResultErrors& errors) {
    if (!errors.wrong.empty()) return std::numeric_limits<double>::infinity();
    return errors.engine > 0 ? 100 * errors.engine / errors.allowed() : 0;
}

CheckResult verify_matmul(std::uint64_t seed, ThreadTeam& team) {
    constexpr int kProducts = 40;
    CheckResult result{.isa = active_isa(), .check = "matmul", .things = "random products", .allowed = 100, .unit = "%"};
    RandomNumbers random(seed);
    for (int i = 0; i < kProducts; ++i) {
        RandomProduct product(random);
        if (i == 0) product.m = 301, product.n = 402, product.k = 503;
        const ResultErrors errors = team.run([&] { return product_errors(product, random); });
        result.add(percentage(errors), [&] {
            return fmt::format("{}: error {:.2e}, allowed {:.2e} (naive {:.2e}): {}", product.text(), errors.engine,
                               errors.allowed(), errors.naive, errors.wrong.empty() ? errors.worst : errors.wrong);
        });
    }
    return result;
}

}  // namespace headwise::tools
