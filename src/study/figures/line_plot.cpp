#include "study/figures/line_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/error.h"
#include "study/figures/palette.h"
#include "study/figures/text_table.h"
#include "study/figures/utf8.h"

namespace moescope::study {
namespace {

constexpr int kDotsAcross = 2, kDotsDown = 4;
constexpr int kNoColour = -1;

class Canvas {
 public:
  explicit Canvas(const PlotSize& size)
      : size_(size),
        dots_(static_cast<size_t>(size.width) * size.height),
        colours_(dots_.size(), kNoColour) {}

  int n_across() const { return size_.width * kDotsAcross; }
  int n_down() const { return size_.height * kDotsDown; }

  // Dots are counted from the upper left corner.
  void Set(int across, int down, int colour) {
    // Bits of U+2800 by column and row.
    static constexpr uint8_t kBits[kDotsAcross][kDotsDown] = {{0x01, 0x02, 0x04, 0x40},
                                                              {0x08, 0x10, 0x20, 0x80}};
    const size_t cell = static_cast<size_t>(down / kDotsDown) * size_.width + across / kDotsAcross;
    dots_[cell] |= kBits[across % kDotsAcross][down % kDotsDown];
    if (colour != kNoColour) colours_[cell] = colour;
  }

  std::string Line(int row, bool colour) const {
    std::string line;
    for (int column = 0; column < size_.width; ++column) {
      const size_t cell = static_cast<size_t>(row) * size_.width + column;
      if (dots_[cell] == 0) {
        line += ' ';
        continue;
      }
      const bool coloured = colour && colours_[cell] != kNoColour;
      if (coloured) {
        const Colour c = ExpertColour(colours_[cell]);
        line += fmt::format("\x1b[38;2;{};{};{}m", c.red, c.green, c.blue);
      }
      AppendUtf8(0x2800u + dots_[cell], line);
      if (coloured) line += "\x1b[0m";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    return line;
  }

 private:
  PlotSize size_;
  std::vector<uint8_t> dots_;  // [height, width]
  std::vector<int> colours_;
};

struct Scale {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
};

Scale ScaleOf(const std::vector<PlotLine>& lines) {
  Scale scale;
  for (const PlotLine& line : lines) {
    for (double value : line.values) {
      if (!std::isfinite(value)) continue;
      scale.low = std::min(scale.low, value);
      scale.high = std::max(scale.high, value);
    }
  }
  if (scale.high - scale.low < 1e-9) scale.low -= 0.005, scale.high += 0.005;
  return scale;
}

void Draw(const PlotLine& line, const Scale& scale, Canvas& canvas) {
  const size_t n = line.values.size();
  const int colour = line.dashed ? kNoColour : line.colour;
  const auto down_of = [&](double value) {
    const double share = (scale.high - value) / (scale.high - scale.low);
    return std::clamp(static_cast<int>(std::lround(share * (canvas.n_down() - 1))), 0,
                      canvas.n_down() - 1);
  };
  for (int across = 0; across < canvas.n_across(); ++across) {
    if (line.dashed && across % 8 >= 3) continue;
    const double place =
        n < 2 ? 0
              : static_cast<double>(across) * static_cast<double>(n - 1) / (canvas.n_across() - 1);
    const size_t left = std::min(static_cast<size_t>(place), n - 1);
    const size_t right = std::min(left + 1, n - 1);
    const double share = place - static_cast<double>(left);
    const double value = share == 0 ? line.values[left]
                                    : line.values[left] * (1 - share) + line.values[right] * share;
    if (std::isfinite(value)) canvas.Set(across, down_of(value), colour);
    if (n < 2) break;
  }
}

// Labels under their places, those left out that would touch the one before.
std::string LabelLine(const std::vector<std::string>& labels, int width) {
  std::string line;
  for (size_t i = 0; i < labels.size(); ++i) {
    const size_t at =
        labels.size() < 2 ? 0 : i * static_cast<size_t>(width - 1) / (labels.size() - 1);
    if (!line.empty() && at < line.size() + 1) continue;
    line.append(at - line.size(), ' ');
    line += labels[i];
  }
  return line;
}

}  // namespace

std::string LinePlot(const std::vector<PlotLine>& lines, const std::vector<std::string>& x_labels,
                     const PlotSize& size, bool colour) {
  const Scale scale = ScaleOf(lines);
  if (!(scale.high > scale.low) || x_labels.empty()) return "";
  Canvas canvas(size);
  for (const PlotLine& line : lines) {
    MOESCOPE_CHECK(line.values.size() == x_labels.size());
    Draw(line, scale, canvas);
  }
  std::string text;
  for (int row = 0; row < size.height; ++row) {
    const bool labelled = row == 0 || row == size.height - 1 || row == size.height / 2;
    const double share = size.height < 2 ? 0 : static_cast<double>(row) / (size.height - 1);
    const double value = scale.high - share * (scale.high - scale.low);
    text += labelled ? fmt::format("{:>6.1f} ┤", 100 * value) : std::string("       │");
    text += canvas.Line(row, colour) + "\n";
  }
  return text + "        " + LabelLine(x_labels, size.width) + "\n";
}

}  // namespace moescope::study
