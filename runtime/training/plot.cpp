// SVG plots: axes with round ticks, lines or points, a legend.
#include <fornax/error.h>
#include <fornax/plot.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>

namespace fornax {

namespace {

constexpr double kWidth = 760, kHeight = 460, kLeft = 70, kRight = 150, kTop = 44, kBottom = 56;
// A palette that keeps its steps for colour-blind readers (Okabe and Ito 2008).
constexpr const char* kColours[] = {"#0072B2", "#E69F00", "#009E73", "#CC79A7",
                                    "#56B4E9", "#D55E00", "#F0E442", "#000000"};

struct Axis {
  double low = std::numeric_limits<double>::infinity(), high = -low, step = 1;

  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  /// Widens the range to round ticks: 1, 2 or 5 times a power of ten apart.
  void finish() {
    if (!(low <= high)) low = 0, high = 1;
    if (low == high) low -= 0.5, high += 0.5;
    const double rough = (high - low) / 5;
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    const double times = rough / power;
    step = power * (times < 1.5 ? 1 : times < 3.5 ? 2 : times < 7.5 ? 5 : 10);
    low = std::floor(low / step) * step;
    high = std::ceil(high / step) * step;
  }
};

std::string number(double value, const char* format = "%.4g") {
  char text[40];
  std::snprintf(text, sizeof text, format, std::fabs(value) < 1e-12 ? 0.0 : value);
  return text;
}
std::string at(double value) { return number(value, "%.2f"); }

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '&')
      result += "&amp;";
    else if (c == '<')
      result += "&lt;";
    else if (c == '>')
      result += "&gt;";
    else if (c == '"')
      result += "&quot;";
    else if (static_cast<unsigned char>(c) >= 0x20)
      result += c;
  }
  return result;
}

class Plot {
 public:
  Plot(const std::vector<Series>& series, const PlotOptions& options) : series_(series) {
    for (const Series& s : series) {
      if (s.x.size() != s.y.size())
        throw Error(ErrorCode::invalid_argument, "plot: series '" + s.label + "' has " +
                                                     std::to_string(s.x.size()) + " x and " +
                                                     std::to_string(s.y.size()) + " y");
      for (std::size_t i = 0; i < s.x.size(); ++i)
        if (std::isfinite(s.x[i]) && std::isfinite(s.y[i])) x_.include(s.x[i]), y_.include(s.y[i]);
    }
    x_.finish(), y_.finish();
    frame(options);
  }

  double left(double x) const {
    return kLeft + (x - x_.low) / (x_.high - x_.low) * (kWidth - kLeft - kRight);
  }
  double top(double y) const {
    return kHeight - kBottom - (y - y_.low) / (y_.high - y_.low) * (kHeight - kTop - kBottom);
  }

  void lines() {
    for (std::size_t s = 0; s < series_.size(); ++s) {
      std::string points;
      for (std::size_t i = 0; i < series_[s].x.size(); ++i)
        if (std::isfinite(series_[s].x[i]) && std::isfinite(series_[s].y[i]))
          points += at(left(series_[s].x[i])) + ',' + at(top(series_[s].y[i])) + ' ';
      svg_ += "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"" + colour(s) + "\" points=\"" +
              points + "\"/>\n";
    }
  }

  void points() {
    for (std::size_t s = 0; s < series_.size(); ++s)
      for (std::size_t i = 0; i < series_[s].x.size(); ++i)
        if (std::isfinite(series_[s].x[i]) && std::isfinite(series_[s].y[i]))
          svg_ += "<circle r=\"3.5\" fill-opacity=\"0.75\" fill=\"" + colour(s) + "\" cx=\"" +
                  at(left(series_[s].x[i])) + "\" cy=\"" + at(top(series_[s].y[i])) + "\"/>\n";
  }

  void write(const std::string& path) {
    for (std::size_t s = 0; s < series_.size(); ++s) {
      const double y = kTop + 14 + 20 * static_cast<double>(s);
      svg_ += "<rect width=\"12\" height=\"12\" fill=\"" + colour(s) + "\" x=\"" +
              at(kWidth - kRight + 14) + "\" y=\"" + at(y - 10) + "\"/>\n";
      text(kWidth - kRight + 32, y, "start", series_[s].label);
    }
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << svg_ << "</svg>\n";
    file.close();
    if (!file)
      throw Error(ErrorCode::io, "plot: '" + path + "' cannot be written; check folder and space");
  }

 private:
  static std::string colour(std::size_t s) { return kColours[s % std::size(kColours)]; }

  void text(double x, double y, const char* anchor, const std::string& words) {
    svg_ += "<text x=\"" + at(x) + "\" y=\"" + at(y) + "\" text-anchor=\"" + anchor + "\">" +
            escaped(words) + "</text>\n";
  }
  void line(double x1, double y1, double x2, double y2, const char* stroke) {
    svg_ += "<line stroke=\"" + std::string(stroke) + "\" x1=\"" + at(x1) + "\" y1=\"" + at(y1) +
            "\" x2=\"" + at(x2) + "\" y2=\"" + at(y2) + "\"/>\n";
  }

  void frame(const PlotOptions& options) {
    svg_ = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + at(kWidth) + "\" height=\"" +
           at(kHeight) + "\" font-family=\"sans-serif\" font-size=\"12\">\n" +
           "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
    const double right = kWidth - kRight, bottom = kHeight - kBottom;
    for (double x = x_.low; x <= x_.high + x_.step / 2; x += x_.step) {
      line(left(x), kTop, left(x), bottom, "#e4e4e4");
      text(left(x), bottom + 18, "middle", number(x));
    }
    for (double y = y_.low; y <= y_.high + y_.step / 2; y += y_.step) {
      line(kLeft, top(y), right, top(y), "#e4e4e4");
      text(kLeft - 8, top(y) + 4, "end", number(y));
    }
    line(kLeft, bottom, right, bottom, "#333");
    line(kLeft, kTop, kLeft, bottom, "#333");
    text((kLeft + right) / 2, 24, "middle", options.title);
    text((kLeft + right) / 2, kHeight - 14, "middle", options.x_label);
    text(kLeft, kTop - 10, "middle", options.y_label);
  }

  const std::vector<Series>& series_;
  Axis x_, y_;
  std::string svg_;
};

}  // namespace

void write_curves(const std::string& path, const std::vector<Series>& series,
                  const PlotOptions& options) {
  Plot plot(series, options);
  plot.lines();
  plot.write(path);
}

void write_scatter(const std::string& path, const std::vector<Series>& series,
                   const PlotOptions& options) {
  Plot plot(series, options);
  plot.points();
  plot.write(path);
}

}  // namespace fornax
