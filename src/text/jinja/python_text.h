// Texts as Python's str has them: indexed by code point, with its ideas of white space, letter case
// and how a number or a quoted text is written. All texts are valid UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moescope::text::jinja {

// str.isspace of one character.
bool IsSpace(uint32_t code_point);

size_t CountCodePoints(std::string_view text);
// Byte at which code point `index` begins; text.size() beyond the end.
size_t ByteOfCodePoint(std::string_view text, size_t index);
// The code points in reverse order.
std::string Reversed(std::string_view text);

enum class Side { kLeft, kRight, kBoth };
std::string_view StripSpace(std::string_view text, Side side);
// Strips any of the code points of `characters`.
std::string_view StripAny(std::string_view text, std::string_view characters, Side side);
// str.splitlines(), without the line ends.
std::vector<std::string_view> SplitLines(std::string_view text);
// Runs of anything but white space; at most `n_splits` cuts, from the left. What remains keeps its
// white space.
std::vector<std::string_view> SplitSpace(std::string_view text, size_t n_splits);

std::string Lower(std::string_view text);
std::string Upper(std::string_view text);
std::string Capitalised(std::string_view text);   // str.capitalize
std::string TitleOfWords(std::string_view text);  // str.title
std::string TitleFilter(std::string_view text);   // jinja's own `title`, which differs

// Appends the UTF-8 of a code point.
void AppendCodePoint(uint32_t code_point, std::string& out);
// repr(text).
void AppendQuoted(std::string_view text, std::string& out);
// repr(value): the shortest text that reads back as the same number.
std::string FormatFloat(double value);

}  // namespace moescope::text::jinja
