#include <tbb/blocked_range2d.h>
#include <tbb/parallel_for.h>

#include "buffers/float_buffer.hpp"
#include "headwise/matmul.hpp"
#include "headwise/reference.hpp"
#include "measure/accuracy.hpp"
#include "measure/thread_team.hpp"
#include "workloads/workload.hpp"

namespace headwise::tools {
namespace {

/// The transpose of b [k, n] in f64: the naive loops then read it in order, and the result is the same.
std::vector<double> transposed_f64(const TensorView<const float, 2>& b) {
    const std::int64_t k = b.extent[0], n = b.extent[1];
    std::vector<double> result(static_cast<std::size_t>(k * n));
    tbb::parallel_for(tbb::blocked_range2d<std::int64_t>(0, n, 64, 0, k, 64), [&](const auto& block) {
        for (std::int64_t j = block.rows().begin(); j != block.rows().end(); ++j) {
            for (std::int64_t p = block.cols().begin(); p != block.cols().end(); ++p) {
                result[static_cast<std::size_t>(j * k + p)] = static_cast<double>(b.data[p * b.stride[0] + j]);
            }
        }
    });
    return result;
}

class MatmulWorkload final : public Workload {
  public:
    explicit MatmulWorkload(const MatmulCase& sizes)
        : sizes_(sizes),
          a_data_(sizes.batch * sizes.m * sizes.k),
          b_data_(sizes.batch * sizes.k * sizes.n),
          c_data_(sizes.batch * sizes.m * sizes.n) {
        fill_random(a_data_.span(), 4);
        fill_random(b_data_.span(), 5);
    }

    double flops() const override { return flops_per_row() * static_cast<double>(sizes_.batch * sizes_.m); }
    double read_bytes() const override {
        return static_cast<double>(sizeof(float)) * static_cast<double>(a_data_.size() + b_data_.size());
    }

    std::vector<std::span<const float>> operands() const override { return {a_data_.span(), b_data_.span()}; }

    std::function<void()> prepare() override {
        if (sizes_.batch == 1) return [this] { matmul(a(0), b(0), c(0)); };
        return [this] {
            const auto& [batch, m, n, k] = sizes_;
            matmul(TensorView<const float, 3>(a_data_.data(), {batch, m, k}), {b_data_.data(), {batch, k, n}},
                   {c_data_.data(), {batch, m, n}});
        };
    }

    Accuracy check() const override {
        AccuracyRecord record;
        std::int64_t wide_batch = -1;
        std::vector<double> wide_b;
        for (const std::int64_t row : sampled_rows(sizes_.batch * sizes_.m, naive_cost() * flops_per_row())) {
            const std::int64_t batch = row / sizes_.m, i = row % sizes_.m;
            if (batch != wide_batch) wide_b = transposed_f64(b(batch)), wide_batch = batch;
            check_row(batch, i, wide_b, record);
        }
        return record.result(sizes_.batch * sizes_.m);
    }

  private:
    TensorView<const float, 2> a(std::int64_t batch) const {
        return {a_data_.data() + batch * sizes_.m * sizes_.k, {sizes_.m, sizes_.k}};
    }
    TensorView<const float, 2> b(std::int64_t batch) const {
        return {b_data_.data() + batch * sizes_.k * sizes_.n, {sizes_.k, sizes_.n}};
    }
    TensorView<float, 2> c(std::int64_t batch) const {
        return {c_data_.data() + batch * sizes_.m * sizes_.n, {sizes_.m, sizes_.n}};
    }

    double flops_per_row() const { return 2 * static_cast<double>(sizes_.n) * static_cast<double>(sizes_.k); }

    /// The textbook loop walks down the columns of b; one that lies beyond the caches costs a memory access for each element.
    double naive_cost() const { return sizes_.n * sizes_.k > (1 << 20) ? 4 : 1; }

    void check_row(std::int64_t batch, std::int64_t i, const std::vector<double>& wide_b, AccuracyRecord& record) const {
        const float* a_row = a(batch).data + i * sizes_.k;
        std::vector<float> naive(static_cast<std::size_t>(sizes_.n));
        const double start = now();
        reference::matmul<float>({a_row, {1, sizes_.k}}, b(batch), {naive.data(), {1, sizes_.n}});
        record.add_naive_time(flops_per_row(), now() - start);

        const std::vector<double> wide_a = widened({a_row, static_cast<std::size_t>(sizes_.k)});
        std::vector<double> exact(naive.size());
        reference::matmul<double>({wide_a.data(), {1, sizes_.k}}, {wide_b.data(), {sizes_.k, sizes_.n}, {1, sizes_.k}},
                                  {exact.data(), {1, sizes_.n}});
        record.add({c(batch).data + i * sizes_.n, naive.size()}, naive, exact);
    }

    MatmulCase sizes_;
    FloatBuffer a_data_, b_data_, c_data_;
};

}  // namespace

std::unique_ptr<Workload> matmul_workload(const MatmulCase& sizes) {
    return std::make_unique<MatmulWorkload>(sizes);
}

}  // namespace headwise::tools
