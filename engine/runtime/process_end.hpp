#pragma once

namespace headwise::runtime {

/// Whether loops may use oneTBB. Not where the process is ending (main() has returned, or exit() was called), as oneTBB takes
/// itself apart then; nor in a child that was forked after loops had used it: of its threads none is there, and a lock that one of
/// them held at that moment is held for good. What begins then runs on the calling thread.
bool may_use_workers() noexcept;

/// A use of oneTBB, from construction to destruction. The end of the process waits for those that are under way, a second at most.
class WorkerUse {
  public:
    WorkerUse() noexcept;
    ~WorkerUse();
    WorkerUse(const WorkerUse&) = delete;
    WorkerUse& operator=(const WorkerUse&) = delete;

    /// What may_use_workers() says, from the beginning to the end of the use.
    bool allowed() const noexcept { return allowed_; }

  private:
    static void give_back() noexcept;

    bool allowed_;
};

}  // namespace headwise::runtime
