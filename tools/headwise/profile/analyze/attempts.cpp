#include "profile/analyze/attempts.hpp"

#include <utility>

namespace headwise::tools {
namespace {

double disturbance_of(const std::vector<ProfiledRun>& runs) {
    double sum = 0;
    for (const ProfiledRun& run : runs) sum += run.disturbance;
    return sum;
}

}  // namespace

std::vector<ProfiledRun> least_disturbed(const std::function<std::vector<ProfiledRun>(int attempt)>& measure) {
    int attempts = 1;
    std::vector<ProfiledRun> best = measure(attempts);
    while (disturbance_of(best) > 0 && attempts < kMostAttempts) {
        std::vector<ProfiledRun> again = measure(++attempts);
        if (disturbance_of(again) < disturbance_of(best)) best = std::move(again);
    }
    for (ProfiledRun& run : best) run.attempts = attempts;
    return best;
}

}  // namespace headwise::tools
