#pragma once

namespace headwise::runtime {

/// Whether the process is ending: main() has returned, or exit() was called. oneTBB takes itself apart then, so that nothing may
/// begin that uses it.
bool is_ending() noexcept;

/// A use of oneTBB, from construction to destruction. The end of the process waits for those that are under way, a second at most.
class WorkerUse {
  public:
    WorkerUse() noexcept;
    ~WorkerUse();
    WorkerUse(const WorkerUse&) = delete;
    WorkerUse& operator=(const WorkerUse&) = delete;

    /// False where the process is ending.
    bool allowed() const noexcept { return allowed_; }

  private:
    bool allowed_;
};

}  // namespace headwise::runtime
