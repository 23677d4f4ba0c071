#include "float_buffer.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <utility>

#include "usage_error.hpp"

namespace headwise::tools {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

/// 64 well-mixed bits from a counter (the finalizer of splitmix64), so that any part can be filled by any thread.
std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/// The sum of four uniform numbers of 16 bits, scaled to variance 1.
float bell(std::uint64_t bits) {
    const auto sum = (bits & 0xffff) + ((bits >> 16) & 0xffff) + ((bits >> 32) & 0xffff) + (bits >> 48);
    return (static_cast<float>(sum) - 2 * 65535.0f) * (1.7320508f / 65536.0f);
}

}  // namespace

FloatBuffer::FloatBuffer(std::int64_t size) : size_(size) {
    std::size_t bytes = 0;
    if (size < 0 || __builtin_mul_overflow(static_cast<std::size_t>(size), sizeof(float), &bytes) || bytes > SIZE_MAX / 2) {
        throw UsageError(fmt::format("a tensor of {} elements does not fit into memory", size));
    }
    // One page more than needed, so that tensors whose sizes are powers of two do not all start at the same cache set.
    mapped_bytes_ = (bytes + kHugePage) / kHugePage * kHugePage;
    void* memory = ::mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw UsageError(fmt::format("no memory for a tensor of {} bytes", bytes));
    ::madvise(memory, mapped_bytes_, MADV_HUGEPAGE);  // a wish: without it everything still works
    data_ = static_cast<float*>(memory);
    tbb::parallel_for(tbb::blocked_range<std::size_t>(0, mapped_bytes_ / kHugePage), [this](const auto& range) {
        for (std::size_t page = range.begin(); page != range.end(); ++page) data_[page * (kHugePage / sizeof(float))] = 0;
    });
}

FloatBuffer::FloatBuffer(FloatBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_bytes_(std::exchange(other.mapped_bytes_, 0)) {}

FloatBuffer& FloatBuffer::operator=(FloatBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(mapped_bytes_, other.mapped_bytes_);
    return *this;
}

FloatBuffer::~FloatBuffer() {
    if (data_ != nullptr) ::munmap(data_, mapped_bytes_);
}

void fill_random(std::span<float> values, std::uint64_t seed) {
    tbb::parallel_for(tbb::blocked_range<std::size_t>(0, values.size(), 1 << 16), [&](const auto& range) {
        for (std::size_t i = range.begin(); i != range.end(); ++i) values[i] = bell(mix(mix(seed) + (i + 1) * 0x9e3779b97f4a7c15u));
    });
}

}  // namespace headwise::tools
