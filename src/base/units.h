// Sizes, counts and durations as people write and read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace moescope {

// "96M", "2G", "1.5GiB", "4096" to bytes; K, M, G, T are powers of 1,024.
// Throws Error(kBadInput) naming the text.
uint64_t ParseBytes(std::string_view text);

// The nearest number with so many significant decimal digits; infinities and NaN as they are.
double RoundToDigits(double value, int digits);

std::string FormatBytes(uint64_t bytes);    // "93.4 GB" style: powers of 1,000, as disks are sold
std::string FormatCount(uint64_t count);    // "46,702,792,704"
std::string FormatSeconds(double seconds);  // "41 s", "3 min 20 s", "2 h 05 min"

}  // namespace moescope
