#include "output_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "usage_error.hpp"

namespace headwise::tools {

OutputFile::OutputFile(const std::string& path) : path_(path), temporary_(fmt::format("{}.partial-{}", path, ::getpid())) {
    struct stat status{};
    if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
        throw UsageError(fmt::format("cannot write '{}': it exists and is not a regular file", path));
    }
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0) throw UsageError(fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
}

OutputFile::~OutputFile() {
    if (descriptor_ >= 0) {
        ::close(descriptor_);
        ::unlink(temporary_.c_str());
    }
}

void OutputFile::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) throw std::runtime_error(fmt::format("cannot write '{}': {}", path_, std::strerror(errno)));
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
}

void OutputFile::write(std::string_view text) {
    write(std::as_bytes(std::span(text)));
}

void OutputFile::commit() {
    const int descriptor = descriptor_;
    descriptor_ = -1;
    // close() is where a network file system reports a full disk.
    if (::close(descriptor) != 0 || std::rename(temporary_.c_str(), path_.c_str()) != 0) {
        const int error = errno;
        ::unlink(temporary_.c_str());
        throw std::runtime_error(fmt::format("cannot write '{}': {}", path_, std::strerror(error)));
    }
}

void write_file(const std::string& path, std::string_view text) {
    OutputFile file(path);
    file.write(text);
    file.commit();
}

}  // namespace headwise::tools
