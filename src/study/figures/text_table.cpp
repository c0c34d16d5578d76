#include "study/figures/text_table.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/error.h"
#include "study/figures/utf8.h"

namespace moescope::study {
namespace {

struct Range {
  uint32_t first, last;
};

// Wide and zero-width characters in as much detail as a table needs (Unicode's EastAsianWidth.txt
// has the rest).
constexpr Range kWide[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},  {0x3041, 0xa4cf},
                           {0xac00, 0xd7a3},   {0xf900, 0xfaff},  {0xfe30, 0xfe6f},
                           {0xff00, 0xff60},   {0xffe0, 0xffe6},  {0x1f300, 0x1f64f},
                           {0x1f900, 0x1faff}, {0x20000, 0x3fffd}};
constexpr Range kZero[] = {{0x0300, 0x036f}, {0x200b, 0x200f}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}};

template <size_t n>
bool IsIn(uint32_t character, const Range (&ranges)[n]) {
  return std::any_of(std::begin(ranges), std::end(ranges), [&](const Range& range) {
    return range.first <= character && character <= range.last;
  });
}

}  // namespace

int DisplayWidth(std::string_view text) {
  int width = 0;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '\x1b' && at + 1 < text.size() && text[at + 1] == '[') {
      at += 2;
      while (at < text.size() && !(text[at] >= '@' && text[at] <= '~')) ++at;
      ++at;
      continue;
    }
    const Character character = NextCharacter(text, at);
    at += character.n_bytes;
    if (IsIn(character.code, kZero)) continue;
    width += IsIn(character.code, kWide) ? 2 : 1;
  }
  return width;
}

std::string Printable(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const Character character = NextCharacter(text, at);
    if (!character.valid) {
      out += "\ufffd";
    } else if (character.code < 0x20) {
      AppendUtf8(0x2400 + character.code, out);
    } else if (character.code >= 0x7f && character.code < 0xa0) {
      out += "\u2421";  // delete and the second set of controls
    } else {
      out += text.substr(at, character.n_bytes);
    }
    at += character.n_bytes;
  }
  return out;
}

void TextTable::AddColumn(std::string heading, Align align) {
  columns_.push_back({std::move(heading), align});
}

void TextTable::AddRow(std::vector<std::string> cells) {
  MOESCOPE_CHECK(cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
}

void TextTable::AddGap() {
  if (!rows_.empty() && !rows_.back().empty()) rows_.emplace_back();
}

std::string TextTable::Format() const {
  std::vector<int> widths;
  for (size_t c = 0; c < columns_.size(); ++c) {
    widths.push_back(DisplayWidth(columns_[c].heading));
    for (const auto& row : rows_) {
      if (!row.empty()) widths[c] = std::max(widths[c], DisplayWidth(row[c]));
    }
  }
  std::string text;
  const auto add_line = [&](auto&& cell_of) {
    std::string line;
    for (size_t c = 0; c < columns_.size(); ++c) {
      const std::string& cell = cell_of(c);
      const std::string padding(widths[c] - DisplayWidth(cell), ' ');
      if (c > 0) line += "  ";
      line += columns_[c].align == Align::kLeft ? cell + padding : padding + cell;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  add_line([&](size_t c) -> const std::string& { return columns_[c].heading; });
  for (const auto& row : rows_) {
    if (row.empty()) {
      text += "\n";
    } else {
      add_line([&](size_t c) -> const std::string& { return row[c]; });
    }
  }
  return text;
}

std::string Bar(double share, int width) {
  static const char* const kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  if (!(share > 0)) return "";
  const int eighths = std::max(1, static_cast<int>(std::lround(std::min(share, 1.0) * width * 8)));
  std::string bar;
  for (int i = 0; i < eighths / 8; ++i) bar += "█";
  return bar + kEighths[eighths % 8];
}

std::string Spark(double share) {
  static const char* const kHeights[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  if (!(share > 0)) return kHeights[0];
  return kHeights[std::clamp(static_cast<int>(std::ceil(std::min(share, 1.0) * 8)), 1, 8)];
}

}  // namespace moescope::study
