#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace headwise::tools {

/// How far results are from f64, by the engine and by the naive f32 loops, over one or more calls.
struct ResultErrors {
    double engine = 0, naive = 0;  ///< largest absolute difference where both are finite
    double largest = 0;            ///< largest finite value of the f64 result
    std::string wrong;             ///< where just one of the two is NaN or infinite, the first such place; else empty
    std::string worst;             ///< where the engine's largest difference is

    void add(const ResultErrors& other);

    /// The contract: an error of at most twice that of the naive loops. Results so small a sample that the naive error is 0 by luck
    /// may differ in their last places.
    double allowed() const;
    bool hold() const { return wrong.empty() && engine <= allowed(); }
};

/// What became of one random call (RandomAttention).
struct AttentionVerdict {
    ResultErrors out, log_sum_exp;
    bool same_bits = true;  ///< with one worker and with as many as the calling thread's arena has
    std::string text;       ///< the call, in a line
    bool passed() const { return out.hold() && log_sum_exp.hold() && same_bits; }
    std::string failure() const;  ///< for people
};

/// Runs the call of this seed through the engine, on one worker and on many, and through the naive loops. Before a verdict that it
/// fails, more draws of its values tell a fault from luck. Memory is kept from call to call.
class AttentionVerifier {
  public:
    AttentionVerdict verify(std::uint64_t seed);

  private:
    AttentionVerdict verify(std::uint64_t seed, std::uint64_t draw);

    std::vector<std::byte> workspace_;
};

}  // namespace headwise::tools
