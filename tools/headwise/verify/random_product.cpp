#include "verify/random_product.hpp"

#include <fmt/format.h>

namespace headwise::tools {

RandomProduct::RandomProduct(RandomNumbers& random) {
    constexpr std::int64_t kMost[] = {1, 8, 33, 100, 250};
    const auto extent = [&] { return random.between(1, random.one_of(kMost)); };
    m = extent(), n = extent(), k = extent();
    transpose_a = random.chance(0.3), transpose_b = random.chance(0.3), packed = random.chance(0.3);
}

void RandomProduct::run(const TensorView<const float, 2>& a, const TensorView<const float, 2>& b, std::vector<float>& c,
                        const MatmulOptions& options) const {
    if (packed)
        matmul(a, PackedMatrix(b), {c.data(), {m, n}}, options);
    else
        matmul(a, b, {c.data(), {m, n}}, options);
}

std::string RandomProduct::text() const {
    return fmt::format("m {} n {} k {}{}{}{}", m, n, k, transpose_a ? ", a transposed" : "", transpose_b ? ", b transposed" : "",
                       packed ? ", b packed" : "");
}

std::vector<float> random_values(std::int64_t size, RandomNumbers& random) {
    std::vector<float> values(static_cast<std::size_t>(size));
    for (float& value : values) value = random.normal();
    return values;
}

}  // namespace headwise::tools
