#pragma once

#include <string>

namespace headwise::tools {

/// Whether `path` can be drawn: a .png or .svg, and Python with matplotlib is there. Throws UsageError telling what to do. Called
/// before the measurements, which take long.
void check_plot(const std::string& path);

/// Draws the bars of a comparison's JSON text to `path` with tools/plot_compare.py. Throws std::runtime_error.
void draw_plot(const std::string& json, const std::string& path);

}  // namespace headwise::tools
