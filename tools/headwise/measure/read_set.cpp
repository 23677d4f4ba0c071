#include "measure/read_set.hpp"

#include <algorithm>

#include "engine/kernels/kernel_table.hpp"

namespace headwise::tools {
namespace {

constexpr auto kGranule = static_cast<std::size_t>(PeakKernels::kReadGranule);  // floats
constexpr std::size_t kLine = 64;                                               // bytes
// Read at once. Short ranges are cut finer, so that all threads have a share.
constexpr std::size_t kLongestChunk = (std::size_t{1} << 20) / sizeof(float), kShortestChunk = 8 * kGranule, kChunks = 64;

/// Whole granules from the first cache line on.
std::span<const float> aligned(std::span<const float> range) {
    const std::size_t over = reinterpret_cast<std::uintptr_t>(range.data()) % kLine;
    const std::size_t skip = std::min(over == 0 ? 0 : (kLine - over) / sizeof(float), range.size());
    range = range.subspan(skip);
    return range.first(range.size() / kGranule * kGranule);
}

}  // namespace

ReadSet::ReadSet(std::span<const std::span<const float>> ranges) {
    std::size_t all = 0;
    for (const std::span<const float> range : ranges) all += aligned(range).size();
    const std::size_t size = std::clamp(all / kChunks / kGranule * kGranule, kShortestChunk, kLongestChunk);
    for (const std::span<const float> range : ranges)
        for (std::span<const float> rest = aligned(range); !rest.empty();) {
            chunks_.push_back(rest.first(std::min(size, rest.size())));
            rest = rest.subspan(chunks_.back().size());
        }
    if (!chunks_.empty()) return;
    granule_ = FloatBuffer(PeakKernels::kReadGranule);
    chunks_.push_back(granule_.span());
}

double ReadSet::bytes() const {
    std::size_t floats = 0;
    for (const std::span<const float> chunk : chunks_) floats += chunk.size();
    return static_cast<double>(floats * sizeof(float));
}

std::span<const float> ReadSet::next(int thread, int threads) {
    const auto t = static_cast<std::size_t>(thread), n = static_cast<std::size_t>(threads);
    const std::size_t begin = chunks_.size() * t / n, end = chunks_.size() * (t + 1) / n;
    if (begin == end) return {};
    std::vector<Cursor>& cursors = cursors_.at(threads);
    std::size_t& position = cursors[t].position;
    if (position < begin || position >= end) position = begin;
    return chunks_[position++];
}

}  // namespace headwise::tools
