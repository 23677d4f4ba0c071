// What shared keys ask of a call is checked before anything is written, and named.
#include <doctest/doctest.h>

#include <vector>

#include "headwise/attention_weights.hpp"
#include "tests/attention/mistakes.hpp"
#include "tests/support/error_message.hpp"

namespace headwise::test {
namespace {

const std::vector<SequenceSizes> kSequences = {{3, 40, 1}, {2, 36, 2}, {1, 33, 3}};

TEST_CASE("shared keys in pages") {
    check_mistakes(
        kSequences, {.packing = Packing::paged, .page_size = 16, .shared_keys = 32},
        std::vector<Mistake>{
            {[](auto& c) { c.options.shared_prefix = false; },
             {"shared_keys is 32", "expected 0", "options.shared_prefix is false"}},
            {[](auto& c) { c.arguments.shared_keys = -16; }, {"shared_keys is -16", "expected 0 to"}},
            {[](auto& c) { c.arguments.shared_keys = 33; },
             {"shared_keys is 33", "multiple of key.extent[2]", "16 keys in a page"}},
            {[](auto& c) { c.arguments.shared_keys = 48; }, {"shared_keys is 48", "sequence 0 has only 40 keys"}},
            {[](auto& c) { c.arguments.key_lengths = integers({40, 31, 33}); },
             {"shared_keys is 32", "sequence 1 has only 31 keys"}},
            {[](auto& c) { c.arguments.page_table = {integers({2, 3, 4, 2, 5, 6, 2, 3, 7}).data(), {3, 3}}; },
             {"page_table[1, 1] is 5", "page_table[0, 1] is 3", "shared_keys, 32", "must be the same"}},
            {[](auto& c) {
                 c.arguments.key_positions.extent[0] = 3;
                 c.arguments.key_positions.stride[0] = 1;
             },
             {"shared_keys is 32", "key_positions.stride[0] is 1", "key_positions.extent[0] is 3", "expected a stride of 0"}},
            {[](auto& c) {
                 static const std::vector<std::int64_t> positions{5, 5, 6};
                 c.arguments.first_key_positions = positions;
             },
             {"first_key_positions[2] is 6", "first_key_positions[0] is 5", "shared_keys, 32", "must be the same"}},
        });
}

TEST_CASE("shared keys in one tensor") {
    check_mistakes(kSequences, {.packing = Packing::padded, .shared_keys = 32},
                   std::vector<Mistake>{
                       {[](auto& c) { c.arguments.key.stride[0] = 1; },
                        {"shared_keys is 32", "key.stride[0] is 1", "key.extent[0] is 3", "expected a stride of 0"}},
                       {[](auto& c) { c.arguments.value.stride[0] = 1; },
                        {"shared_keys is 32", "value.stride[0] is 1", "value.extent[0] is 3", "expected a stride of 0"}},
                       {[](auto& c) { c.arguments.shared_keys = 41; }, {"shared_keys is 41", "sequence 0 has only 40 keys"}},
                   });
}

TEST_CASE("packed keys cannot have a common prefix") {
    check_mistakes(kSequences, {.packing = Packing::ragged},
                   std::vector<Mistake>{{[](auto& c) {
                                             c.options.shared_prefix = true;
                                             c.arguments.shared_keys = 2;
                                         },
                                         {"shared_keys is 2", "cumulative_key_lengths is given"}}});
}

TEST_CASE("explain() refuses what run() does") {
    const VariantCall call({}, kSequences, {.packing = Packing::paged, .page_size = 16, .shared_keys = 32});
    AttentionArguments arguments = call.arguments;
    arguments.shared_keys = 48;
    check_message(message_of([&] { AttentionPlan(call.shape, call.options).explain(arguments); }), {"shared_keys is 48"});
    check_message(message_of([&] { AttentionPlan(call.shape).explain(call.arguments); }), {"options.shared_prefix is false"});
}

TEST_CASE("the weights of a call do not depend on whether its keys are shared") {
    const VariantCall call({.options = {.causal = Causal::bottom_right}}, kSequences,
                           {.packing = Packing::paged, .page_size = 16, .shared_keys = 32});
    call.run();
    const auto weights = [&](std::int64_t shared_keys) {
        std::vector<float> memory(3 * 4 * 3 * 40);
        AttentionArguments arguments = call.arguments;
        arguments.shared_keys = shared_keys;
        attention_weights(arguments, call.options, {}, {.weights = {memory.data(), {3, 4, 3, 40}}});
        return memory;
    };
    CHECK(same_bits(weights(32), weights(0)));
}

}  // namespace
}  // namespace headwise::test
