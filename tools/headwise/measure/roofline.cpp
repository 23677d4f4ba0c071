#include "measure/roofline.hpp"

namespace headwise::tools {

Roofline roofline(double flops, double read_bytes, double seconds, double fma_gflops, double read_gb_per_s) {
    const double intensity = flops / read_bytes;
    return {.intensity = intensity,
            .gflops = flops / seconds / 1e9,
            .fma_gflops = fma_gflops,
            .read_gb_per_s = read_gb_per_s,
            .by_bandwidth = intensity * read_gb_per_s < fma_gflops};
}

}  // namespace headwise::tools
