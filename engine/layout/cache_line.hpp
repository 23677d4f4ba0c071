#pragma once

#include <cstddef>
#include <cstdint>

namespace headwise {

/// Bytes that a processor moves between its caches at once, and that two workers must not share. 64 on every processor that
/// headwise is built for.
inline constexpr std::size_t kCacheLine = 64;
inline constexpr std::int64_t kCacheLineFloats = kCacheLine / sizeof(float);

}  // namespace headwise
