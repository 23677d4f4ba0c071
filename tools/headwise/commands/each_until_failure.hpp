#pragma once

#include <exception>

namespace headwise::tools {

/// Measures one entry after the other until one fails: what was measured before it is still worth its report. The failure, to be
/// thrown again once that is written; null where there was none. A failure of the first entry is thrown at once.
template <class Entries, class MeasureEntry>
std::exception_ptr each_until_failure(const Entries& entries, MeasureEntry measure) {
    bool measured = false;
    for (const auto& entry : entries) {
        try {
            measure(entry);
        } catch (...) {
            if (!measured) throw;
            return std::current_exception();
        }
        measured = true;
    }
    return nullptr;
}

}  // namespace headwise::tools
