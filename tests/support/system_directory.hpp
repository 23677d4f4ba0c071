#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace headwise::test {

/// A folder of small files, as Linux has them in /sys and /proc, that goes away with it.
class SystemDirectory {
  public:
    SystemDirectory() : path_(std::filesystem::temp_directory_path() / ("headwise_system_" + std::to_string(getpid()))) {
        std::filesystem::remove_all(path_);
        std::filesystem::create_directories(path_);
    }
    ~SystemDirectory() { std::filesystem::remove_all(path_); }
    SystemDirectory(const SystemDirectory&) = delete;
    SystemDirectory& operator=(const SystemDirectory&) = delete;

    std::string path() const { return path_.string(); }

    void write(const std::string& file, const std::string& text) const {
        std::filesystem::create_directories((path_ / file).parent_path());
        std::ofstream(path_ / file) << text << '\n';
    }

  private:
    std::filesystem::path path_;
};

}  // namespace headwise::test
