#include "machine_probe.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "engine/kernels/kernel_table.hpp"

using namespace headwise;
using namespace headwise::tools;

TEST_CASE("each yardstick of multiply-adds does what it counts") {
    for (const auto& kernel : kernel_table(active_isa()).peak.multiply_add) {
        CAPTURE(kernel.name);
        alignas(64) float state[20] = {-1.0f, 0.5f, 0.25f};
        const double once = kernel.run(1, state);
        CHECK(once >= 12);
        CHECK(kernel.run(1000, state) == 1000 * once);
        bool written = false;
        for (int i = 4; i < 20; ++i) {
            CHECK(std::isfinite(state[i]));
            written = written || state[i] != 0;
        }
        CHECK(written);
    }
}

TEST_CASE("each yardstick of reading reads every element once") {
    const std::int64_t count = 3 * PeakKernels::kReadGranule;
    const FloatBuffer buffer(count);
    for (const auto& kernel : kernel_table(active_isa()).peak.read) {
        CAPTURE(kernel.name);
        for (std::int64_t i = 0; i < count; ++i) buffer.data()[i] = static_cast<float>(i % 128);
        alignas(64) float out[16] = {};
        kernel.run(buffer.data(), count, out);
        float sum = 0;
        for (const float x : out) sum += x;
        CHECK(sum == static_cast<float>(count / 128 * (127 * 128 / 2)));
    }
}

TEST_CASE("the peaks are positive and not beyond reason") {
    MachineProbe probe(active_isa());
    for (const int threads : {1, 2}) {
        ThreadTeam team(threads);
        const double gflops = probe.multiply_add_gflops(team, 0.002);
        CHECK(gflops > 0.1);
        CHECK(gflops < 2000.0 * threads);
        const double gigabytes = probe.read_gigabytes(team, 8 << 20, 0.002);
        CHECK(gigabytes > 0.01);
        CHECK(gigabytes < 2000.0 * threads);
    }
}
