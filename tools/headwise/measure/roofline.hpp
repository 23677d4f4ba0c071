#pragma once

namespace headwise::tools {

/// Where a call stands under the roofline of the threads that it ran on (Williams, Waterman, Patterson, CACM 2009).
struct Roofline {
    double intensity = 0;       ///< FLOPs for each byte that must be read: keys and values, or both matrices, once
    double gflops = 0;          ///< attained
    double fma_gflops = 0;      ///< measured beside the call, as is
    double read_gb_per_s = 0;   ///< of the very bytes, wherever they lie
    bool by_bandwidth = false;  ///< whether reading, not arithmetic, is the lower roof at this intensity

    double roof_gflops() const { return by_bandwidth ? intensity * read_gb_per_s : fma_gflops; }
    double read_rate() const { return gflops / intensity; }  ///< GB/s, attained
};

Roofline roofline(double flops, double read_bytes, double seconds, double fma_gflops, double read_gb_per_s);

}  // namespace headwise::tools
