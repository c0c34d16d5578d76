#include "base/units.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "base/error.h"

namespace moescope {

uint64_t ParseBytes(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  auto [rest, status] = std::from_chars(text.data(), end, value);
  std::string_view suffix(rest, static_cast<size_t>(end - rest));
  double scale = 1;
  if (!suffix.empty()) {
    constexpr std::string_view kSuffixes = "KMGT";
    size_t power = kSuffixes.find(static_cast<char>(suffix[0] & ~0x20));
    std::string_view tail = suffix.substr(1);
    bool known_tail = tail.empty() || tail == "B" || tail == "iB" || tail == "b" || tail == "ib";
    if (power == std::string_view::npos || !known_tail) {
      if (suffix != "B") status = std::errc::invalid_argument;
    } else {
      scale = std::ldexp(1.0, static_cast<int>(10 * (power + 1)));
    }
  }
  double bytes = value * scale;
  if (status != std::errc() || !(bytes >= 0) || bytes >= 0x1p63) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("not a size: '{}': expected a number with an optional K, M, G or T, "
                            "such as 96M or 2G",
                            text));
  }
  return static_cast<uint64_t>(bytes);
}

double RoundToDigits(double value, int digits) {
  if (value == 0 || !std::isfinite(value)) return value;
  const double scale =
      std::pow(10.0, digits - 1 - static_cast<int>(std::floor(std::log10(std::abs(value)))));
  return std::isfinite(scale) ? std::round(value * scale) / scale : value;
}

std::string FormatBytes(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 999.5 && unit < 5) {
    value /= 1000;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", bytes);
  int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, decimals, kUnits[unit]);
}

std::string FormatCount(uint64_t count) {
  std::string digits = std::to_string(count);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<size_t>(at), ",");
  }
  return digits;
}

std::string FormatSeconds(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "?";
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  int64_t whole = std::llround(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

}  // namespace moescope
