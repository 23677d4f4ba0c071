#include "buffers/float_buffer.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <atomic>
#include <utility>

#include "buffers/memory_limit.hpp"
#include "text/usage_error.hpp"

namespace headwise::tools {
namespace {

constexpr std::size_t kCacheLine = 64, kPage = 4096, kHugePage = std::size_t{2} << 20;
constexpr std::size_t kCheckedBytes = std::size_t{64} << 20;  // to ask the system costs as much as to touch a megabyte

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
    // The pages are touched below: what the system does not have would end the process rather than fail here.
    if (bytes >= kCheckedBytes) check_free_memory(fmt::format("a tensor of {} elements takes", size), static_cast<double>(bytes));
    // Room for the offset below, and whole huge pages.
    mapped_bytes_ = (bytes + kPage + kHugePage) / kHugePage * kHugePage;
    mapping_ = ::mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping_ == MAP_FAILED) {
        mapping_ = nullptr;
        throw UsageError(fmt::format("no memory for a tensor of {} bytes", bytes));
    }
    ::madvise(mapping_, mapped_bytes_, MADV_HUGEPAGE);  // a wish: without it everything still works
    // Tensors do not all start at the same cache set, as they would at the beginnings of pages.
    static std::atomic<std::size_t> count{0};
    const std::size_t offset = count.fetch_add(1) % 61 * kCacheLine;
    data_ = reinterpret_cast<float*>(static_cast<std::byte*>(mapping_) + offset);
    // Every small page: one that was never written to is read from the system's one page of zeros, that is, from the cache.
    tbb::parallel_for(tbb::blocked_range<std::size_t>(0, mapped_bytes_ / kPage), [this](const auto& range) {
        auto* memory = static_cast<volatile char*>(mapping_);
        for (std::size_t page = range.begin(); page != range.end(); ++page) memory[page * kPage] = 0;
    });
}

FloatBuffer::FloatBuffer(FloatBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapping_(std::exchange(other.mapping_, nullptr)),
      mapped_bytes_(std::exchange(other.mapped_bytes_, 0)) {}

FloatBuffer& FloatBuffer::operator=(FloatBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(mapping_, other.mapping_);
    std::swap(mapped_bytes_, other.mapped_bytes_);
    return *this;
}

FloatBuffer::~FloatBuffer() {
    if (mapping_ != nullptr) ::munmap(mapping_, mapped_bytes_);
}

void fill_random(std::span<float> values, std::uint64_t seed) {
    tbb::parallel_for(tbb::blocked_range<std::size_t>(0, values.size(), 1 << 16), [&](const auto& range) {
        for (std::size_t i = range.begin(); i != range.end(); ++i) values[i] = bell(mix(mix(seed) + (i + 1) * 0x9e3779b97f4a7c15u));
    });
}

}  // namespace headwise::tools
