#pragma once

namespace headwise::runtime {

/// Whether a collector of Intel's, such as VTune, is attached and wants the domain "headwise". Never where the library was built
/// without ittnotify.
bool itt_collects() noexcept;

/// The items of a loop as tasks of that domain, by the name of the operation, while it collects.
class IttTasks {
  public:
    explicit IttTasks(const char* operation) noexcept;
    void begin() const noexcept;
    void end() const noexcept;

  private:
    [[maybe_unused]] void* name_ = nullptr;  // the collector's handle of the operation
};

}  // namespace headwise::runtime
