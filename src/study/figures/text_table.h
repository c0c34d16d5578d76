// Tables for terminals: columns aligned by what a terminal shows, not by bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moescope::study {

// Columns of a terminal that UTF-8 text takes: 0 for combining marks, 2 for wide East Asian
// characters and emoji, 1 otherwise; escape sequences (ESC [ ... letter) take none.
int DisplayWidth(std::string_view text);

// Valid UTF-8 with no control characters: names come from files. Invalid bytes become U+FFFD,
// control characters their pictures (U+2400 on).
std::string Printable(std::string_view text);

class TextTable {
 public:
  enum class Align { kLeft, kRight };
  void AddColumn(std::string heading, Align align = Align::kRight);
  // As many cells as columns.
  void AddRow(std::vector<std::string> cells);
  // A blank line between groups of rows.
  void AddGap();
  // Two spaces between columns, headings first, "\n" after each line.
  std::string Format() const;

 private:
  struct Column {
    std::string heading;
    Align align;
  };
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;  // empty: a gap
};

// A bar of block characters, eighths of a column fine. Requires: 0 <= share <= 1.
std::string Bar(double share, int width);
// One of eight heights, " " for 0.
std::string Spark(double share);

}  // namespace moescope::study
