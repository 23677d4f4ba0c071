#pragma once

/// What a shared headwise exports; all else in it is hidden. The CMake target of a static one defines HEADWISE_STATIC, so that a
/// library it is linked into does not export it in turn.
#if defined(HEADWISE_STATIC) || !defined(__GNUC__)
#define HEADWISE_API
#else
#define HEADWISE_API __attribute__((visibility("default")))
#endif
