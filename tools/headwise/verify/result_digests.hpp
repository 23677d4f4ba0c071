#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "verify/digest.hpp"

namespace headwise::tools {

class ThreadTeam;

/// An operation of the engine: adds the results of the call that `seed` stands for, on the active ISA and the calling thread's
/// arena. What a seed stands for never changes, or digests of two versions could not be compared: a new rule is a new operation.
struct DigestedOperation {
    std::string_view name;
    void (*add)(std::uint64_t seed, Digest& digest);
};

/// Multiply-adds of the random call of attention that `seed` stands for: most are small, so that there can be many; each tenth is
/// large enough for several threads.
double digested_call_cost(std::uint64_t seed);

/// attention, weights, merge, rope, matmul, layer; positions: attention with first_query_positions and first_key_positions.
std::span<const DigestedOperation> digested_operations();

/// The results of `count` calls of the operation, those of first_seed, first_seed + 1, ...; `progress` is told how many are done.
Digest result_digest(const DigestedOperation& operation, std::uint64_t first_seed, std::int64_t count, ThreadTeam& team,
                     const std::function<void(std::int64_t)>& progress);

}  // namespace headwise::tools
