#include "profile/record/counters.hpp"

#include <fmt/format.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace headwise::tools {
namespace {

int open_counter(int thread, std::uint32_t type, std::uint64_t event) {
    perf_event_attr attributes{};
    attributes.size = sizeof attributes;
    attributes.type = type;
    attributes.config = event;
    attributes.disabled = 1;
    attributes.exclude_kernel = 1;  // kernel.perf_event_paranoid = 2, the default, allows no more
    attributes.exclude_hv = 1;
    attributes.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
    return static_cast<int>(::syscall(SYS_perf_event_open, &attributes, thread, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

std::string why_not(int error) {
    switch (error) {
        case ENOENT:
        case EOPNOTSUPP:
        case ENODEV: return "the processor has no hardware counters, or its virtual machine hides them";
        case ENOSYS: return "the kernel has no perf_event_open()";
        case EACCES:
        case EPERM: {
            int level = 0;
            std::ifstream("/proc/sys/kernel/perf_event_paranoid") >> level;
            return fmt::format("not permitted: kernel.perf_event_paranoid is {}; 2 or less, or CAP_PERFMON, allows it", level);
        }
        default: return std::strerror(error);
    }
}

/// Scaled up where the kernel had the counter take turns with others.
double read_counter(int descriptor) {
    std::array<std::uint64_t, 3> values{};  // count, nanoseconds enabled, nanoseconds running
    if (::read(descriptor, values.data(), sizeof values) != static_cast<ssize_t>(sizeof values) || values[2] == 0) return 0;
    return static_cast<double>(values[0]) * static_cast<double>(values[1]) / static_cast<double>(values[2]);
}

}  // namespace

ThreadCounters::ThreadCounters() {
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
        if (add(std::stoi(entry.path().filename().string()))) continue;
        const int error = errno;
        if (error == ESRCH) continue;  // the thread has ended since
        reason_ = why_not(error);
        return;
    }
}

ThreadCounters::~ThreadCounters() {
    for (const Thread& thread : threads_)
        for (const int descriptor : {thread.instructions, thread.cycles, thread.clock})
            if (descriptor >= 0) ::close(descriptor);
}

bool ThreadCounters::add(int thread) {
    Thread& added = threads_.emplace_back();
    added.instructions = open_counter(thread, PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS);
    if (added.instructions < 0) return false;
    added.cycles = open_counter(thread, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES);
    if (added.cycles < 0) return false;
    added.clock = open_counter(thread, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK);
    return added.clock >= 0;
}

void ThreadCounters::start() {
    if (!reason_.empty()) return;
    for (const Thread& thread : threads_)
        for (const int descriptor : {thread.instructions, thread.cycles, thread.clock}) {
            if (descriptor < 0) continue;
            ::ioctl(descriptor, PERF_EVENT_IOC_RESET, 0);
            ::ioctl(descriptor, PERF_EVENT_IOC_ENABLE, 0);
        }
}

std::optional<CounterValues> ThreadCounters::stop() {
    if (!reason_.empty()) return std::nullopt;
    CounterValues sum;
    for (const Thread& thread : threads_) {
        for (const int descriptor : {thread.instructions, thread.cycles, thread.clock})
            if (descriptor >= 0) ::ioctl(descriptor, PERF_EVENT_IOC_DISABLE, 0);
        sum.instructions += read_counter(thread.instructions);
        sum.cycles += read_counter(thread.cycles);
        sum.nanoseconds += read_counter(thread.clock);
    }
    if (sum.instructions <= 0 || sum.cycles <= 0 || sum.nanoseconds <= 0) return std::nullopt;
    return sum;
}

}  // namespace headwise::tools
