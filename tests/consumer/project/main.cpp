// A program outside the project: attention over two keys whose answer is known, and an error that crosses the library's border.
#include <cmath>
#include <cstdio>
#include <exception>

#include "headwise/headwise.hpp"

namespace {

bool answer_is_right() {
    const float query[2] = {1, 0};
    const float key[4] = {1, 0, 0, 1};  // logits 1/sqrt(2) and 0
    const float value[4] = {10, 1, 20, 2};
    float out[2] = {};
    headwise::attention(headwise::bhsd(query, 1, 1, 1, 2), headwise::bhsd(key, 1, 1, 2, 2), headwise::bhsd(value, 1, 1, 2, 2),
                        headwise::bhsd(out, 1, 1, 1, 2));
    const double weight = 1 / (1 + std::exp(-1 / std::sqrt(2.0)));
    std::printf("%s: out = %.6f, expected %.6f\n", headwise::isa_name(headwise::active_isa()).data(), static_cast<double>(out[0]),
                20 - 10 * weight);
    return std::abs(out[0] - (20 - 10 * weight)) < 1e-5 && std::abs(out[1] - (2 - weight)) < 1e-6;
}

bool error_is_caught() {
    try {
        headwise::isa_from_name("avx9");
    } catch (const headwise::Error& error) {
        std::puts(error.what());
        return true;
    }
    return false;
}

}  // namespace

int main() {
    try {
        return answer_is_right() && error_is_caught() ? 0 : 1;
    } catch (const std::exception& error) {
        std::puts(error.what());
        return 1;
    }
}
