#include "bench/benchmarks.hpp"
#include "bench/case_benchmark.hpp"

namespace headwise::bench {

void register_benchmarks() {
    // In cache and from memory; one query row and a few (speculative decoding); from a key/value head for each query head to one
    // for all.
    for (const char* text : {"attention:hq=9,hkv=3,sq=1,skv=512,d=64", "attention:hq=32,hkv=8,sq=1,skv=512,d=128",
                             "attention:hq=32,hkv=8,sq=1,skv=4096,d=128", "attention:b=8,hq=32,hkv=8,sq=1,skv=4096,d=128",
                             "attention:hq=32,sq=1,skv=4096,d=128", "attention:hq=32,hkv=1,sq=1,skv=32768,d=128",
                             "attention:hq=12,sq=1,skv=16384,d=64", "attention:hq=32,hkv=8,sq=4,skv=4096,d=128,causal=bottom-right",
                             "attention:hq=1,hkv=1,sq=1,skv=131072,d=64"}) {
        register_case(text);
    }
}

}  // namespace headwise::bench
