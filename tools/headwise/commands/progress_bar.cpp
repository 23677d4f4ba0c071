#include "commands/progress_bar.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "measure/thread_team.hpp"
#include "text/printable.hpp"

namespace headwise::tools {
namespace {

constexpr int kWidth = 24;

bool is_terminal() {
    const char* kind = std::getenv("TERM");
    return ::isatty(STDERR_FILENO) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
}

}  // namespace

ProgressBar::ProgressBar(int steps) : visible_(is_terminal()), steps_(std::max(steps, 1)), start_(now()) {}

ProgressBar::~ProgressBar() {
    clear();
}

void ProgressBar::show(std::string_view text) {
    if (!visible_) return;
    const int filled = kWidth * std::min(done_, steps_) / steps_;
    // 79 columns, or the line would wrap in a narrow terminal and could not be taken back.
    const std::string line = fmt::format("[{}{}] {:>3.0f} % {:>4.0f} s  {}", std::string(static_cast<std::size_t>(filled), '#'),
                                         std::string(static_cast<std::size_t>(kWidth - filled), '.'), 100.0 * done_ / steps_,
                                         now() - start_, printable(text));
    std::fputs(fmt::format("\r\033[K{:.79}", line).c_str(), stderr);
    std::fflush(stderr);
}

void ProgressBar::clear() {
    if (!visible_) return;
    std::fputs("\r\033[K", stderr);
    std::fflush(stderr);
}

}  // namespace headwise::tools
