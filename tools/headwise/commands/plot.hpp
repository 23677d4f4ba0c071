#pragma once

#include <string>

namespace headwise::tools {

/// The Python scripts that draw, which stand in tools/ and are installed beside each other.
inline constexpr const char* kPlotCompare = "plot_compare.py";
inline constexpr const char* kPlotProfile = "plot_profile.py";

/// Whether `script` can draw to `path`: a .png or .svg, and Python with matplotlib is there. Throws UsageError telling what to do.
/// Called before the measurements, which take long.
void check_plot(const std::string& script, const std::string& path);

/// Draws the JSON text to `path` with `script`. Throws std::runtime_error.
void draw_plot(const std::string& script, const std::string& json, const std::string& path);

}  // namespace headwise::tools
