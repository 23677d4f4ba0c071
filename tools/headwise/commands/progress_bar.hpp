#pragma once

#include <string_view>

namespace headwise::tools {

/// A line on stderr that tells how far the work is and what is being done. Nothing where stderr is no terminal.
class ProgressBar {
  public:
    explicit ProgressBar(int steps);
    ~ProgressBar();
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    /// Shows `text` as what is done now.
    void show(std::string_view text);
    /// One step more is done.
    void advance() { ++done_; }
    /// Takes the line away, so that something else can be printed.
    void clear();

  private:
    bool visible_;
    int steps_, done_ = 0;
    double start_;
};

}  // namespace headwise::tools
