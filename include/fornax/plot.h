// Pictures of a run as SVG files.
#pragma once
#include <fornax/export.h>

#include <string>
#include <vector>

namespace fornax {

struct Series {
  std::string label;
  std::vector<double> x, y;  ///< of equal length; points that are not finite are left out
};

struct PlotOptions {
  std::string title, x_label, y_label;
};

/// Lines over common axes, with a legend. Throws Error{io} when the file cannot be written and
/// Error{invalid_argument} when a series has more x than y.
FORNAX_API void write_curves(const std::string& path, const std::vector<Series>& series,
                             const PlotOptions& options);

/// Points coloured by series: a class per series.
FORNAX_API void write_scatter(const std::string& path, const std::vector<Series>& series,
                              const PlotOptions& options);

}  // namespace fornax
