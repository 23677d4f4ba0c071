#include "files/output_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "text/usage_error.hpp"

namespace headwise::tools {
namespace {

constexpr int kMostLinks = 40;             // as many as Linux follows
constexpr int kMostTemporaries = 1000;     // left behind by programs that were killed and had the same number
constexpr std::size_t kLongestStem = 200;  // a name may have 255 bytes

/// Where the path leads, which need not exist yet.
std::filesystem::path followed(std::filesystem::path path) {
    std::error_code error;
    for (int links = 0; links < kMostLinks; ++links) {
        const std::filesystem::path next = std::filesystem::read_symlink(path, error);
        if (error) return path;
        path = path.parent_path() / next;  // which is `next` where that is absolute
    }
    return path;
}

bool is_same_file(const std::string& a, const std::string& b) {
    std::error_code error;
    if (std::filesystem::equivalent(a, b, error) && !error) return true;
    // Of a relative path that is not there, weakly_canonical() makes no absolute one.
    const auto target = [&](const std::string& path) {
        const std::filesystem::path full = std::filesystem::absolute(followed(path), error);
        return error ? full : std::filesystem::weakly_canonical(full, error);
    };
    const std::filesystem::path first = target(a);
    return !error && first == target(b) && !error;
}

}  // namespace

OutputFile::OutputFile(const std::string& path) : path_(path), target_(followed(path).string()) {
    struct stat status{};
    const bool exists = ::stat(target_.c_str(), &status) == 0;
    if (exists && !S_ISREG(status.st_mode))
        throw UsageError(fmt::format("cannot write '{}': it exists and is not a regular file", path));
    if (std::error_code error; std::filesystem::is_symlink(target_, error))
        throw UsageError(fmt::format("cannot write '{}': {}", path, std::strerror(ELOOP)));
    if (std::filesystem::path(target_).filename().empty())
        throw UsageError(fmt::format("cannot write '{}': expected the name of a file", path));
    create_temporary();
    // Whom a file system does not let keep the mode, it gives that of a new file.
    if (exists) [[maybe_unused]]
        const int ignored = ::fchmod(descriptor_, status.st_mode & 07777);
}

void OutputFile::create_temporary() {
    const std::filesystem::path target(target_);
    const std::string stem = target.filename().string().substr(0, kLongestStem);
    for (int n = 0; n < kMostTemporaries; ++n) {
        temporary_ = (target.parent_path() / fmt::format("{}.partial-{}-{}", stem, ::getpid(), n)).string();
        descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor_ >= 0 || errno != EEXIST) break;
    }
    if (descriptor_ < 0) throw UsageError(fmt::format("cannot write '{}': {}", path_, std::strerror(errno)));
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
        if (written < 0) throw UsageError(fmt::format("cannot write '{}': {}", path_, std::strerror(errno)));
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
    if (::close(descriptor) != 0 || std::rename(temporary_.c_str(), target_.c_str()) != 0) {
        const int error = errno;
        ::unlink(temporary_.c_str());
        throw UsageError(fmt::format("cannot write '{}': {}", path_, std::strerror(error)));
    }
}

void write_file(const std::string& path, std::string_view text) {
    OutputFile file(path);
    file.write(text);
    file.commit();
}

void check_outputs_are_apart(std::span<const NamedPath> outputs, std::span<const NamedPath> inputs) {
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const NamedPath& output = outputs[i];
        if (output.path.empty()) continue;
        for (const NamedPath& input : inputs) {
            if (is_same_file(output.path, input.path))
                throw UsageError(fmt::format("{} '{}' is the same file as {} '{}': it would be lost", output.option, output.path,
                                             input.option, input.path));
        }
        for (const NamedPath& other : outputs.subspan(i + 1)) {
            if (!other.path.empty() && is_same_file(output.path, other.path))
                throw UsageError(fmt::format("{} and {} are the same file: '{}'", output.option, other.option, other.path));
        }
    }
}

}  // namespace headwise::tools
