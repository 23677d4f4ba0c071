#include "engine/cache/store.hpp"

#include <cstddef>
#include <cstring>
#include <string>

#include "headwise/error.hpp"

namespace headwise {

void copy_tokens(const TensorView<const float, 4>& from, const TensorView<float, 4>& to) noexcept {
    const std::int64_t tokens = from.extent[2], dim = from.extent[3];
    const bool adjacent = from.stride[2] == dim && to.stride[2] == dim;
    const std::int64_t rows = adjacent ? 1 : tokens;
    const auto bytes = static_cast<std::size_t>(adjacent ? tokens * dim : dim) * sizeof(float);
    for (std::int64_t h = 0; h < from.extent[1]; ++h)
        for (std::int64_t i = 0; i < rows; ++i)
            std::memcpy(to.data + h * to.stride[1] + i * to.stride[2], from.data + h * from.stride[1] + i * from.stride[2], bytes);
}

void copy_keys(const TensorView<const float, 4>& from, const TensorView<float, 4>& to, const RopeTable* rope,
               std::int64_t position) {
    if (rope)
        apply_rope(from, to, *rope, {}, position);
    else
        copy_tokens(from, to);
}

void check_rope_dims(const RopeTable* rope, std::int64_t head_dim) {
    if (rope && rope->options().dims > head_dim)
        throw Error("rope->options().dims is " + std::to_string(rope->options().dims) + ": expected at most " +
                    std::to_string(head_dim) + ", the head dimension");
}

void check_rope_positions(const RopeTable* rope, std::int64_t position, std::int64_t tokens) {
    if (rope && tokens > 0 && tokens > rope->positions() - position)
        throw Error("rope->positions() is " + std::to_string(rope->positions()) + ": expected a row for each of " +
                    std::to_string(tokens) + " tokens from position " + std::to_string(position) + " on");
}

}  // namespace headwise
