#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "tests/attention/variant_call.hpp"

namespace headwise::test {

/// A change to a good call, and what the message about it says.
struct Mistake {
    std::function<void(VariantCall&)> make;
    std::vector<std::string> parts;
};

/// Each mistake in a call of its own that asks for everything: it must be named and nothing written.
void check_mistakes(const std::vector<SequenceSizes>& sequences, const Placing& placing, std::span<const Mistake> mistakes);

/// Numbers that live as long as the program.
std::span<const std::int32_t> integers(std::initializer_list<std::int32_t> numbers);

}  // namespace headwise::test
