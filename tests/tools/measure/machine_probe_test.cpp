#include "measure/machine_probe.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <map>
#include <span>
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

TEST_CASE("a set of ranges is read whole, each thread going round its own part") {
    const FloatBuffer buffer(3 << 20);
    const std::span<const float> all = buffer.span();
    // 2 granules and a bit from an odd address, a long range, and one without a whole granule.
    const std::array ranges{all.subspan(3, 2 * 256 + 40), all.subspan(4096, 2 << 20), all.subspan((3 << 20) - 100, 90)};
    for (const int threads : {1, 2, 3, 7}) {
        CAPTURE(threads);
        ReadSet set(ranges);
        CHECK(set.bytes() == 4 * (2 * 256 + (2 << 20)));
        set.prepare(threads);
        std::map<const float*, int> times;
        double bytes = 0;
        for (int thread = 0; thread < threads; ++thread) {
            const float* first = nullptr;
            for (;;) {
                const std::span<const float> chunk = set.next(thread, threads);
                if (chunk.data() == first) break;
                if (!first) first = chunk.data();
                bytes += static_cast<double>(chunk.size_bytes());
                CHECK(++times[chunk.data()] == 1);
                CHECK(reinterpret_cast<std::uintptr_t>(chunk.data()) % 64 == 0);
                CHECK(chunk.size() % PeakKernels::kReadGranule == 0);
            }
        }
        CHECK(bytes == set.bytes());
    }
    ReadSet small(std::array{all.first(255)});
    CHECK(small.bytes() == 1024);
    small.prepare(2);
    CHECK(small.next(0, 2).size() + small.next(1, 2).size() == 256);
}

TEST_CASE("the peaks are positive and not beyond reason") {
    MachineProbe probe(active_isa());
    for (const int threads : {1, 2}) {
        ThreadTeam team(threads);
        const double gflops = probe.multiply_add_gflops(team, 0.002);
        CHECK(gflops > 0.1);
        CHECK(gflops < 2000.0 * threads);
        const FloatBuffer buffer(std::int64_t{1} << 21);
        ReadSet set(std::array{std::span<const float>(buffer.span())});
        const double gigabytes = probe.read_gigabytes(team, set, 0.002);
        CHECK(gigabytes > 0.01);
        CHECK(gigabytes < 2000.0 * threads);
    }
}
