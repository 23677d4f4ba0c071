#pragma once

/// Marks what a shared headwise library exports; everything else in it is hidden. The CMake target of a static one defines
/// HEADWISE_STATIC, so that a library that links it does not export these symbols in turn.
#if defined(HEADWISE_STATIC) || !defined(__GNUC__)
#define HEADWISE_API
#else
#define HEADWISE_API __attribute__((visibility("default")))
#endif
