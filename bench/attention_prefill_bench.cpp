#include "bench/benchmarks.hpp"
#include "bench/case_benchmark.hpp"

namespace headwise::bench {

void register_benchmarks() {
    // Short to long, the usual head dimensions and odd ones, grouped heads, both ways of few keys or queries, and a whole layer.
    for (const char* text :
         {"attention:b=8,hq=12,sq=128,d=64", "attention:hq=12,sq=512,d=64", "attention:hq=8,sq=4096,d=64",
          "attention:hq=8,sq=2048,d=128", "attention:hq=8,sq=1024,d=80", "attention:hq=8,sq=1024,d=96,dv=64",
          "attention:hq=8,sq=1024,d=256", "attention:hq=8,sq=1000,d=72", "attention:b=32,hq=12,sq=15,d=32",
          "attention:hq=12,sq=128,d=64,causal=bottom-right", "attention:hq=12,sq=1024,d=64,causal=bottom-right",
          "attention:hq=32,hkv=8,sq=2048,d=128,causal=bottom-right",
          "attention:hq=32,hkv=8,sq=128,skv=2048,d=128,causal=bottom-right", "attention:hq=12,sq=512,d=64,layout=bshd",
          "layer:s=512,model=768,heads=12", "layer:b=8,s=128,model=768,heads=12"}) {
        register_case(text);
    }
}

}  // namespace headwise::bench
