#include "engine/matmul/product.hpp"

#include <algorithm>

#include "engine/matmul/blocking.hpp"
#include "engine/matmul/layout.hpp"
#include "engine/runtime/parallel.hpp"
#include "engine/runtime/workspace_pool.hpp"
#include "engine/tensor/steps.hpp"

namespace headwise {
namespace {

/// A rectangle of one product's c.
struct Block {
    std::int64_t batch, row, rows, column, columns;
};

/// What a worker writes besides c.
struct Buffers {
    float* packed_a;
    float* packed_b;
    float* sums;  ///< of the block's rows and columns; null: they are parked in c
};

/// BLIS's loops around the micro-kernel; jr and those outside it. ir is the panel kernel's.
class BlockedProduct {
  public:
    BlockedProduct(const Product& product, const MatmulBlocking& blocking, const MatmulFinish* finish, float* workspace)
        : product_(product), kernels_(*product.kernels), blocking_(blocking), finish_(finish), workspace_(workspace) {}

    /// Neighbours in time share rows of a.
    void run_item(int worker, std::int64_t item, std::int64_t upcoming) const {
        const FetchRows after = upcoming == runtime::kUnknownItem ? FetchRows{} : panel_to_pack(block_of(upcoming), 0, 0);
        run_block(worker, block_of(item), after);
    }

    /// What a record tells of an item.
    runtime::TaskLabel label(std::int64_t item) const {
        const Block block = block_of(item);
        const auto rows = static_cast<double>(block.rows), columns = static_cast<double>(block.columns);
        const auto k = static_cast<double>(product_.a.extent[2]);
        return {.batch = block.batch,
                .row_block = block.row / blocking_.item_rows,
                .column_block = block.column / blocking_.item_columns,
                .kernel = "matmul",
                .flops = 2 * rows * columns * k,
                .bytes = sizeof(float) * (rows * k + k * columns + rows * columns)};
    }

  private:
    Block block_of(std::int64_t item) const {
        const std::int64_t column = item % blocking_.column_items * blocking_.item_columns, group = item / blocking_.column_items;
        const std::int64_t row = group % blocking_.row_items * blocking_.item_rows;
        return {.batch = group / blocking_.row_items,
                .row = row,
                .rows = std::min(blocking_.item_rows, product_.c.extent[1] - row),
                .column = column,
                .columns = std::min(blocking_.item_columns, product_.c.extent[2] - column)};
    }

    /// `after` is what is packed first when this block is done.
    void run_block(int worker, const Block& block, const FetchRows& after) const {
        float* packed_a = workspace_ + worker * blocking_.buffer_size();
        float* packed_b = packed_a + blocking_.packed_a_size;
        float* sums = blocking_.sums_size > 0 ? packed_b + blocking_.packed_b_size : nullptr;
        const std::int64_t k = product_.a.extent[2];
        std::int64_t pc = 0;
        do {  // once also for k = 0
            const std::int64_t depth = std::min(blocking_.kc, k - pc);
            for (std::int64_t ic = 0; ic < block.rows; ic += blocking_.mc) {
                const Block part{block.batch, block.row + ic, std::min(blocking_.mc, block.rows - ic), block.column, block.columns};
                const FetchRows next = ic + blocking_.mc < block.rows ? FetchRows{}
                                       : pc + depth < k               ? panel_to_pack(block, pc + depth, 0)
                                                                      : after;
                run_panels(part, pc, depth, {packed_a, packed_b, sums ? sums + ic * blocking_.item_columns : nullptr}, ic == 0,
                           next);
            }
            pc += depth;
        } while (pc < k);
    }

    /// Where the panel of b comes from that is packed for `block` from row pc and the block's column jr on.
    FetchRows panel_to_pack(const Block& block, std::int64_t pc, std::int64_t jr) const {
        if (!blocking_.pack_b) return {};
        const TensorView<const float, 2> b = matrix(product_.b, block.batch);
        const std::int64_t depth = std::min(blocking_.kc, b.extent[0] - pc);
        const std::int64_t columns = std::min(kernels_.matmul.tile_columns, block.columns - jr);
        const float* first = b.data + pc * b.stride[0] + (block.column + jr) * b.stride[1];
        return rows_contiguous(b) ? FetchRows{first, b.stride[0], depth, columns} : FetchRows{first, b.stride[1], columns, depth};
    }

    /// A block of a times all panels of b (the jr loop). Panels are packed when first used, and so are in the cache; the next one
    /// is fetched while one is used, and `after` with the last.
    void run_panels(const Block& block, std::int64_t pc, std::int64_t depth, const Buffers& buffers, bool first_rows,
                    const FetchRows& after) const {
        const TensorView<const float, 3>& a = product_.a;
        const TensorView<float, 3>& c = product_.c;
        const float* a_block = a.data + block.batch * a.stride[0] + block.row * a.stride[1] + pc * a.stride[2];
        MatmulPanel panel{.rows = block.rows,
                          .columns = 0,
                          .depth = depth,
                          .a = a_block,
                          .a_row = a.stride[1],
                          .a_step = a.stride[2],
                          .b = nullptr,
                          .b_step = 0,
                          .sums = nullptr,
                          .sums_row = buffers.sums ? blocking_.item_columns : c.stride[1],
                          .resume = pc > 0,
                          .c = nullptr,
                          .c_row = c.stride[1],
                          .finish = nullptr,
                          .fetch = {}};
        if (blocking_.pack_a) {
            kernels_.matmul.transpose(a_block, a.stride[2], depth, block.rows, buffers.packed_a, blocking_.packed_a_row);
            panel.a = buffers.packed_a;
            panel.a_row = blocking_.packed_a_row;
            panel.a_step = 1;
        }
        const bool last = pc + depth == a.extent[2];
        for (std::int64_t jr = 0; jr < block.columns; jr += kernels_.matmul.tile_columns) {
            const std::int64_t column = block.column + jr;
            panel.columns = std::min(kernels_.matmul.tile_columns, block.columns - jr);
            panel.c = c.data + block.batch * c.stride[0] + block.row * c.stride[1] + column;
            panel.sums = buffers.sums ? buffers.sums + jr : panel.c;
            set_panel_of_b(panel, block.batch, pc, column, buffers.packed_b + jr * blocking_.kc, first_rows);
            const bool last_panel = jr + kernels_.matmul.tile_columns >= block.columns;
            panel.fetch = last_panel   ? after
                          : first_rows ? panel_to_pack(block, pc, jr + kernels_.matmul.tile_columns)
                                       : FetchRows{};
            MatmulFinish finish;
            if (last && finish_) {
                finish = finish_at(block.row, column);
                panel.finish = &finish;
            }
            kernels_.matmul.multiply_panel(panel);
        }
    }

    /// The panel of b from row pc and the given column on: where it lies, or copied to `buffer`.
    void set_panel_of_b(MatmulPanel& panel, std::int64_t batch, std::int64_t pc, std::int64_t column, float* buffer,
                        bool fill) const {
        if (product_.packed) {
            panel.b_step = panel_row(kernels_, panel.columns);
            panel.b = product_.packed->data.get() + column * product_.packed->k + pc * panel.b_step;
        } else if (blocking_.pack_b) {
            if (fill) pack_panel(kernels_, matrix(product_.b, batch), pc, panel.depth, column, panel.columns, buffer);
            panel.b_step = panel_row(kernels_, panel.columns);
            panel.b = buffer;
        } else {
            const TensorView<const float, 3>& b = product_.b;
            panel.b_step = b.stride[1];
            panel.b = panel.depth == 0 ? nullptr : b.data + batch * b.stride[0] + pc * b.stride[1] + column;
        }
    }

    MatmulFinish finish_at(std::int64_t row, std::int64_t column) const {
        MatmulFinish finish = *finish_;
        if (finish.bias) finish.bias += column;
        if (finish.residual) finish.residual += row * finish.residual_row + column;
        return finish;
    }

    const Product& product_;
    const KernelTable& kernels_;
    const MatmulBlocking& blocking_;
    const MatmulFinish* finish_;  // null: the sums are the result
    float* workspace_;
};

/// Products with one right-hand side, whose left-hand sides and results lie at one distance throughout, are one product of more
/// rows. Strides that no step takes are 0 already.
void merge_batch(Product& product) {
    const auto even = [](const auto& x) { return x.extent[1] == 1 || x.stride[0] == x.extent[1] * x.stride[1]; };
    const auto merge = [](auto& x) {
        if (x.extent[1] == 1) x.stride[1] = x.stride[0];
        x.extent[1] *= x.extent[0];
        x.extent[0] = 1;
    };
    if (product.a.extent[0] <= 1 || product.b.stride[0] != 0 || !even(product.a) || !even(product.c)) return;
    merge(product.a);
    merge(product.c);
    product.b.extent[0] = 1;
}

MatmulFinish finish_of(const MatmulOptions& options) {
    const Epilogue& epilogue = options.epilogue;
    return {.alpha = options.alpha,
            .beta = options.beta,
            .activation = epilogue.activation,
            .bias = epilogue.bias,
            .residual = epilogue.residual.data,
            .residual_row = epilogue.residual.stride[0]};
}

bool changes_sums(const MatmulFinish& finish) {
    return finish.alpha != 1 || finish.beta != 0 || finish.bias || finish.activation != Activation::none || finish.residual;
}

MatmulProblem problem_of(const Product& product, const MatmulFinish& finish) {
    const auto& a = product.a;
    const auto& b = product.b;
    return {.batch = a.extent[0],
            .m = a.extent[1],
            .n = product.c.extent[2],
            .k = a.extent[2],
            .tile_rows = product.kernels->matmul.tile_rows,
            .tile_columns = product.kernels->matmul.tile_columns,
            .a_columns = !rows_contiguous(matrix(a, 0)),
            .b = product.packed                  ? PanelSource::packed
                 : rows_contiguous(matrix(b, 0)) ? PanelSource::rows
                                                 : PanelSource::columns,
            .b_row = b.stride[1],
            .keeps_c = finish.beta != 0 || finish.residual == product.c.data};
}

}  // namespace

void run_product(const Product& call) {
    if (call.c.extent[0] == 0 || call.c.extent[1] == 0 || call.c.extent[2] == 0) return;
    Product product = call;
    if (product.options.alpha == 0) {  // neither a nor b is read, and nothing of them has been checked but extents
        product.a.extent[2] = product.b.extent[1] = 0;
        product.a.stride = product.b.stride = {};
    }
    product.a = without_unused_strides(product.a);
    product.b = without_unused_strides(product.b);
    product.c = without_unused_strides(product.c);
    merge_batch(product);
    const MatmulFinish finish = finish_of(product.options);
    const int available = runtime::available_workers(), limit = product.options.max_threads;
    const MatmulBlocking blocking =
        choose_blocking(problem_of(product, finish), cpu_info().caches, limit > 0 ? std::min(limit, available) : available);
    const runtime::PooledWorkspace workspace(static_cast<std::size_t>(blocking.workers * blocking.buffer_size()) * sizeof(float));
    const BlockedProduct blocked(product, blocking, changes_sums(finish) ? &finish : nullptr,
                                 reinterpret_cast<float*>(workspace.bytes().data()));
    runtime::for_each_item(
        blocking.workers, product.c.extent[0] * blocking.row_items * blocking.column_items,
        [&](int worker, std::int64_t item, std::int64_t upcoming) { blocked.run_item(worker, item, upcoming); }, "matmul",
        [&](std::int64_t item) { return blocked.label(item); });
}

}  // namespace headwise
