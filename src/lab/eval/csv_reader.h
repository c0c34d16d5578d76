// Comma-separated values as RFC 4180 has them: fields in double quotes may hold commas, line ends
// and doubled quotes; a quote inside a field without quotes is itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moescope::lab {

struct CsvRecord {
  int64_t line = 0;  // of its first character, from 1
  std::vector<std::string> fields;
};

// Lines end in LF or CR LF; empty lines are passed over, and so is a byte order mark. Linear.
// Throws Error(kCorrupt) naming path and line for a quoted field that does not end, or goes on
// after its closing quote, and for bytes that are not UTF-8; Error(kBadInput) for a record of more
// than 64 fields.
std::vector<CsvRecord> ParseCsv(std::string_view text, const std::string& path);

}  // namespace moescope::lab
