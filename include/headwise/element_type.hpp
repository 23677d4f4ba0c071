#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace headwise {

/// The type of a tensor's elements.
enum class ElementType : std::uint8_t { f32, f64, i32, i64, u8 };

/// Size of one element in bytes.
constexpr std::size_t element_bytes(ElementType type) {
    switch (type) {
        case ElementType::u8: return 1;
        case ElementType::f32:
        case ElementType::i32: return 4;
        case ElementType::f64:
        case ElementType::i64: return 8;
    }
    return 0;
}

template <class T>
constexpr ElementType element_type_of() {
    if constexpr (std::is_same_v<T, float>)
        return ElementType::f32;
    else if constexpr (std::is_same_v<T, double>)
        return ElementType::f64;
    else if constexpr (std::is_same_v<T, std::int32_t>)
        return ElementType::i32;
    else if constexpr (std::is_same_v<T, std::int64_t>)
        return ElementType::i64;
    else {
        static_assert(std::is_same_v<T, std::uint8_t>, "no ElementType for this type");
        return ElementType::u8;
    }
}

}  // namespace headwise
