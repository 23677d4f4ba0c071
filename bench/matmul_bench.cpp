#include "bench/benchmarks.hpp"
#include "bench/case_benchmark.hpp"

namespace headwise::bench {

void register_benchmarks() {
    // Squares from what fits the first cache to what fits none; the projections of a transformer layer; a matrix times a vector,
    // which is bound by reading the matrix; a batch of small ones.
    for (const char* text :
         {"matmul:m=8,n=8,k=8", "matmul:m=32,n=32,k=32", "matmul:m=64,n=64,k=64", "matmul:m=65,n=63,k=67",
          "matmul:m=128,n=128,k=128", "matmul:m=256,n=256,k=256", "matmul:m=512,n=512,k=512", "matmul:m=1024,n=1024,k=1024",
          "matmul:m=2048,n=2048,k=2048", "matmul:m=512,n=768,k=768", "matmul:m=512,n=3072,k=768", "matmul:m=512,n=768,k=3072",
          "matmul:m=16,n=4096,k=4096", "matmul:m=1,n=8192,k=8192", "matmul:batch=96,m=128,n=128,k=64"}) {
        register_case(text);
    }
}

}  // namespace headwise::bench
